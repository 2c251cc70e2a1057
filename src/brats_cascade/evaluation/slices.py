"""The per-slice table: the F1 of every region, and the earlier work's score under a name that describes it.

The earlier work reports an "F1-Score (complete)" per slice that is not the F1 of the complete tumour. It rounds the
probabilities, keeps columns 1 to 3 (which loses enhancing tumour), takes the argmax, and micro-averages the F1 over all pixels,
which is the share of pixels that agree, including background. `earlier_work_score` computes exactly
this score, so that both tables can be compared.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brats_cascade.labels import REGIONS, region_mask

EARLIER_WORK_COLUMN = "earlier_work_pixel_agreement"


def slice_table(truth: np.ndarray, prediction: np.ndarray, *, first_slice: int = 0) -> pd.DataFrame:
    """Scores every slice separately.

    The F1 of a region on a slice (equal to its Dice) is NaN if neither ground truth nor prediction contains the region, and
    0 if only one of them does.

    Args:
        truth: Canonical labels (slices, rows, columns).
        prediction: Likewise.
        first_slice: Number of the first slice given, if the volumes are parts of larger ones.

    Returns:
        One row per slice: slice, F1 of every region, and the complete tumour's pixels.
    """
    table: dict[str, np.ndarray] = {"slice": np.arange(first_slice, first_slice + len(truth))}
    for region in REGIONS:
        true, found = region_mask(truth, region=region), region_mask(prediction, region=region)
        hits = (true & found).sum(axis=(1, 2))
        both = true.sum(axis=(1, 2)) + found.sum(axis=(1, 2))
        table[f"{region}_f1"] = np.where(both > 0, 2.0 * hits / np.maximum(both, 1), np.nan)
    table["truth_pixels"] = (truth > 0).sum(axis=(1, 2))
    table["predicted_pixels"] = (prediction > 0).sum(axis=(1, 2))
    return pd.DataFrame(table)


def earlier_work_score(truth: np.ndarray, probabilities: np.ndarray, *, air: int = 0) -> float:
    """The earlier work's "F1-Score (complete)" of one slice, which is a share of agreeing pixels and not an F1.

    Both sides are reduced to columns 1 to 3 of five. A pixel whose three columns are all zero (background, enhancing
    tumour, or no probability above one half) becomes class 0, which is also the class of necrosis.

    Args:
        truth: Canonical labels (rows, columns).
        probabilities: (rows, columns, 5), one column per canonical label.
        air: Number of pixels of the slice outside the given part, which are certain background on both sides. The notebook
            counts all pixels of the slice, so its score depends on the amount of air.
    """
    true_class = np.argmax(np.eye(5)[truth][..., 1:4], axis=-1)
    found_class = np.argmax(np.round(probabilities)[..., 1:4], axis=-1)
    return (int(np.count_nonzero(true_class == found_class)) + air) / (true_class.size + air)


def largest_run(pixels: Sequence[int], *, n: int) -> list[int]:
    """The `n` consecutive positions with the largest sum; ties go to the first, and all positions if there are fewer."""
    counts = np.asarray(pixels, dtype=np.int64)
    if len(counts) <= n:
        return list(range(len(counts)))
    start = int(np.argmax(np.convolve(counts, np.ones(n, dtype=np.int64), mode="valid")))
    return list(range(start, start + n))


def nine_slices(slices: pd.DataFrame, *, case: str) -> pd.DataFrame:
    """The earlier work's table: nine consecutive slices through the tumour of a case, from the slice table of all cases."""
    own = slices[slices["case"] == case].sort_values("slice")
    chosen = own.iloc[largest_run(own["truth_pixels"].tolist(), n=9)]
    return chosen[["case", "slice", "complete_f1", EARLIER_WORK_COLUMN]].reset_index(drop=True)
