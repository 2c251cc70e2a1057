"""Results reported by the paper and by a Keras notebook, for comparison."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    """One row of the paper's Tables 1 and 2: values for complete, core, enhancing.

    What the paper calls specificity is the PPV: its harmonic mean with the sensitivity is the Dice. The seconds are for one
    brain on a Titan Black GPU, if reported.
    """

    method: str
    architecture: str
    phases: str
    dice: tuple[float, float, float]
    ppv: tuple[float, float, float]
    sensitivity: tuple[float, float, float]
    seconds: float | None


BOTH, FIRST = "both phases", "phase 1 only"
PAPER = (
    PaperRow(
        "InputCascadeCNN", "input_cascade", BOTH, (0.88, 0.79, 0.73), (0.89, 0.79, 0.68), (0.87, 0.79, 0.80), 180.0
    ),
    PaperRow("MFCascadeCNN", "mf_cascade", BOTH, (0.86, 0.77, 0.73), (0.92, 0.80, 0.71), (0.81, 0.76, 0.76), 90.0),
    PaperRow(
        "LocalCascadeCNN", "local_cascade", BOTH, (0.88, 0.76, 0.72), (0.91, 0.76, 0.70), (0.84, 0.80, 0.75), 102.0
    ),
    PaperRow("TwoPathCNN", "two_path", BOTH, (0.85, 0.78, 0.73), (0.93, 0.80, 0.72), (0.80, 0.76, 0.75), 25.0),
    PaperRow("TwoPathCNN", "two_path", FIRST, (0.78, 0.63, 0.68), (0.67, 0.50, 0.59), (0.96, 0.89, 0.82), None),
)

# Other results on the paper's test set: method, and Dice of complete, core, enhancing.
LITERATURE = (("Pereira et al. 2016, 2-D patch CNN", (0.88, 0.83, 0.77)),)

EARLIER_WORK_NAME = "jadevaibhav/Brain-Tumor-Segmentation-using-Deep-Neural-networks"
EARLIER_WORK_CASE = "HG 0027"
EARLIER_WORK_SLICES = tuple(range(105, 114))
EARLIER_WORK = {
    "InputCascade": (0.9250, 0.9271, 0.9269, 0.9280, 0.92691, 0.9277, 0.9291, 0.9297, 0.9273),
    "MFCascade": (0.80091, 0.8029, 0.8085, 0.8114, 0.8056, 0.7986, 0.7929, 0.7868, 0.79228),
}

PAPER_NOTE = (
    "The paper's rows are the scores it reports on the BRATS 2013 test set (10 patients, ground truth not public), after "
    "training on 30 patients. The patients differ, so the numbers are a rough reference, not a ranking. What the paper calls "
    "specificity is the PPV. For comparison, human raters agree with each other with a Dice of 0.74 to 0.85, depending on the "
    "region (Menze et al. 2015, on other patients)."
)
EARLIER_WORK_NOTE = (
    f"The Keras notebook {EARLIER_WORK_NAME} reports an F1 score (complete) per slice of case {EARLIER_WORK_CASE}. It rounds "
    "the probabilities, keeps labels 1 to 3 (enhancing tumour is lost), takes the argmax and micro-averages the F1 over all "
    "pixels, which is the share of pixels that agree, background included. Its scores are therefore listed as pixel agreement. "
    "The F1 of the complete tumour (labels 1 to 4) on the same slices is given above it."
)
PHANTOM_NOTE = (
    "This cohort is the built-in phantom: synthetic tumours in average anatomy. Its scores show that the pipeline works; they "
    "do not show how well a network segments patients."
)
