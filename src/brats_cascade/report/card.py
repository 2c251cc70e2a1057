"""Descriptions of a trained network: the note on its MLflow run, and the model card of the registered model."""

from collections.abc import Mapping
from typing import Any

from brats_cascade.inference.postprocess import Thresholds
from brats_cascade.labels import LABELS, REGIONS

NOT_A_DEVICE = (
    "**Not a medical device.** Research software: not for diagnosis, treatment or any decision about a patient."
)


def run_note(record: Mapping[str, Any], *, summary: Mapping[str, Any]) -> str:
    """A run's description in MLflow, from `costs.read_facts` and metrics/E/summary.json: its scores in one small table."""
    return "\n\n".join(
        [
            f"{record['architecture']}, trained and tested on {record.get('release', 'unknown data')}, "
            f"{summary['patients']} test patients.",
            score_table(summary),
            f"Post-processing {Thresholds(**summary['postprocess'])}, chosen on the validation patients. {NOT_A_DEVICE}",
        ]
    )


def score_table(summary: Mapping[str, Any]) -> str:
    """The scores as a Markdown table, with the interval of the Dice where there is one."""
    lines = [
        "| region | Dice, validation | Dice, test [95 % interval] | PPV | sensitivity | HD95, mm |",
        "|---|---|---|---|---|---|",
    ]
    for region in REGIONS:
        scores = summary[region]
        interval = f" [{scores['dice_low']:.2f}, {scores['dice_high']:.2f}]" if "dice_low" in scores else ""
        lines.append(
            f"| {region} | {summary['validation'][region]['dice']:.3f} | {scores['dice']:.3f}{interval} | "
            f"{scores['ppv']:.2f} | {scores['sensitivity']:.2f} | {scores['hd95']:.1f} |"
        )
    return "\n".join(lines)


def model_card(
    record: Mapping[str, Any],
    *,
    summary: Mapping[str, Any],
    contract: Mapping[str, Any],
    sets: Mapping[str, int],
    phantom: bool,
) -> str:
    """The card of a registered model, Markdown.

    Args:
        record: What `costs.read_facts` knows of its training, with `run_id`.
        summary: metrics/E/summary.json.
        contract: models/E/model.json.
        sets: Number of cases of each set: train, validation, test.
        phantom: True if it was trained on the embedded synthetic cohort.
    """
    labels = ", ".join(f"{label} {LABELS[label]}" for label in contract["classes"])
    origin = (
        "the embedded phantom: synthetic tumours in average anatomy" if phantom else record["params"]["data.source"]
    )
    hashes = "; ".join(f"{path} {digest}" for path, digest in record.get("data_hashes", {}).items()) or "not recorded"
    counts = {name: sets.get(name, 0) for name in ("train", "validation", "test")}
    kind = (
        "a plain 2-D U-Net, the baseline for the paper's networks"
        if record["architecture"] == "unet"
        else f"{record['architecture']} of Havaei et al. (arXiv 1505.03540)"
    )
    over = contract.get("zscore", "brain") + (", after N4 bias correction of T1 and T1c" if contract.get("n4") else "")
    return f"""# brats-cascade: {record["experiment"]}

{NOT_A_DEVICE}

## What it does

Segments gliomas in MRI, slice by slice: {kind},
{record["parameters"]:,} parameters. Input: {", ".join(contract["modalities"])} of one case on one grid, skull-stripped
(0 outside the brain). Output: one label per voxel ({labels}),
written in the geometry and with the label numbers of the case.

## Data

- Release {record["release"]}, from {origin}.
- {counts["train"]} cases for training, {counts["validation"]} for validation, {counts["test"]} for testing; split by patient,
  so that no patient is in two sets.
- Preprocessing: {contract["clip"]:.0%} of the brain's intensities clipped at either end, then z-scored
  over the {over}.

## Scores

{score_table(summary)}

Means over {summary["cases"]} test cases of {summary["patients"]} patients; the interval is a bootstrap over patients
(from three patients on). Post-processing {Thresholds(**summary["postprocess"])}: chosen, like this model among the experiments,
on the validation patients alone.

## Limits

- {_limit(phantom=phantom, patients=summary["patients"])}
- Scanners, sequences, field strengths, ages and diseases that are not in the training data were not tested.
- Scans must be skull-stripped, registered to one another and on one grid.
- The enhancing score counts a case without enhancing tumour as 1 or 0, as the BraTS challenge does.

## Origin

Commit {record["git_commit"]}; MLflow run {record["run_id"] or "not logged"}; seed {record["seed"]}; data (DVC hashes):
{hashes}.
"""


def _limit(*, phantom: bool, patients: int) -> str:
    if phantom:
        return "Trained on synthetic tumours: it shows that the pipeline works and is of no use on patients."
    few = " With so few patients the interval is itself uncertain." if patients < 10 else ""
    return f"Scored on {patients} held-out patients of the same cohort, not on the challenge's own test set.{few}"
