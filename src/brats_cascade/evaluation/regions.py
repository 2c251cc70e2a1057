"""Scores of one segmented case against its ground truth, per tumour region.

Rules for empty regions, as in the BraTS challenge's evaluation: if ground truth and prediction are both empty, all scores
are perfect (Dice, PPV and sensitivity 1, Hausdorff distance 0). If only one is empty, Dice, PPV and sensitivity are 0 and the
Hausdorff distance is `NO_MATCH_MM`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from brats_cascade.data.preprocess import bounding_box
from brats_cascade.labels import LABELS, REGIONS, region_mask

# The challenge's distance for a missed region: the diagonal of a volume, sqrt(240^2 + 240^2 + 155^2) mm.
NO_MATCH_MM = 373.1287
# Written next to the scores by `evaluate`.
EMPTY_REGIONS = {
    "in both": "Dice, PPV, sensitivity 1; HD95 0 mm",
    "in one alone": f"Dice, PPV, sensitivity 0; HD95 {NO_MATCH_MM} mm",
}
SCORES = ("dice", "ppv", "sensitivity", "specificity", "hd95", "truth_cm3", "predicted_cm3")


def score_case(
    truth: np.ndarray, prediction: np.ndarray, *, spacing: Sequence[float], outside: Mapping[str, int] | None = None
) -> dict[str, float]:
    """Scores a segmentation over the regions complete, core and enhancing.

    Specificity counts every voxel of the given volume, so it depends on the amount of air; Dice, PPV and sensitivity do not.
    What the paper calls specificity is the PPV.

    Args:
        truth: Canonical labels (slices, rows, columns).
        prediction: Likewise.
        spacing: mm along slices, rows, columns.
        outside: Region -> voxels of the ground truth that `truth` lacks, as in `score_masks`.

    Returns:
        `{region}_{score}` for every region and every name in `SCORES`; hd95 in mm, volumes in cm3.

    Raises:
        ValueError: The shapes differ or are not three-dimensional, or a label is not canonical.
    """
    _check(truth, prediction=prediction, spacing=spacing)
    scores: dict[str, float] = {}
    for region in REGIONS:  # the masks of one region at a time, because a volume may be large
        true, found = region_mask(truth, region=region), region_mask(prediction, region=region)
        of_region = score_masks(true, found, spacing=spacing, outside=(outside or {}).get(region, 0))
        scores |= {f"{region}_{name}": value for name, value in of_region.items()}
    return scores


def score_masks(
    truth: np.ndarray, prediction: np.ndarray, *, spacing: Sequence[float], outside: int = 0
) -> dict[str, float]:
    """Scores one region, given two bool masks (slices, rows, columns): one value for every name in `SCORES`.

    `outside` voxels of the ground truth are not in its mask. They count as missed; only for hd95 they count as absent, unless
    the mask is empty.
    """
    n_truth, n_found = int(truth.sum()) + outside, int(prediction.sum())
    hits = int((truth & prediction).sum())
    negatives = truth.size - n_truth
    nothing = n_truth + n_found == 0
    cm3 = float(np.prod(spacing)) / 1000.0
    return {
        "dice": _ratio(2 * hits, n_truth + n_found, if_none=1.0),
        "ppv": _ratio(hits, n_found, if_none=float(nothing)),
        "sensitivity": _ratio(hits, n_truth, if_none=float(nothing)),
        "specificity": _ratio(negatives - (n_found - hits), negatives, if_none=1.0),
        "hd95": NO_MATCH_MM if outside and not truth.any() else hausdorff95(truth, prediction, spacing=spacing),
        "truth_cm3": n_truth * cm3,
        "predicted_cm3": n_found * cm3,
    }


def hausdorff95(truth: np.ndarray, prediction: np.ndarray, *, spacing: Sequence[float]) -> float:
    """The 95th percentile Hausdorff distance, mm: the larger of the two directed 95th percentiles.

    A surface voxel is a voxel of the region with a face neighbour outside it (or at the volume's edge). Its distance is that to
    the nearest surface voxel of the other region, centre to centre. The result is 0 if both masks are empty, and `NO_MATCH_MM`
    if only one is.
    """
    if not truth.any() and not prediction.any():
        return 0.0
    if not truth.any() or not prediction.any():
        return NO_MATCH_MM
    box = bounding_box(truth | prediction)
    a, b = (mask[box] ^ ndimage.binary_erosion(mask[box]) for mask in (truth, prediction))
    return max(_directed95(a, b, spacing=spacing), _directed95(b, a, spacing=spacing))


def _directed95(source: np.ndarray, target: np.ndarray, *, spacing: Sequence[float]) -> float:
    distances = ndimage.distance_transform_edt(~target, sampling=tuple(spacing))
    return float(np.percentile(distances[source], 95))


def _ratio(part: int, whole: int, *, if_none: float) -> float:
    return part / whole if whole else if_none


def _check(truth: np.ndarray, *, prediction: np.ndarray, spacing: Sequence[float]) -> None:
    if truth.shape != prediction.shape or truth.ndim != 3:
        raise ValueError(
            f"expected ground truth and prediction of the same shape (slices, rows, columns), received {truth.shape} and "
            f"{prediction.shape}"
        )
    if len(spacing) != 3 or min(spacing) <= 0:
        raise ValueError(f"expected three positive voxel sizes in mm, received {tuple(spacing)}")
    for name, labels in (("truth", truth), ("prediction", prediction)):
        if labels.size and not (labels.min() >= 0 and labels.max() < len(LABELS)):
            raise ValueError(
                f"{name}: expected canonical labels 0 to {len(LABELS) - 1}, received {labels.min()} to {labels.max()}"
            )
