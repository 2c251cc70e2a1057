"""Lesion-wise Dice and HD95 as defined by the BraTS 2023 challenge for gliomas, and the normalised surface Dice.

The definition is that of https://github.com/rachitsaluja/BraTS-2023-Metrics (commit 43c9052, BraTS-GLI), per region:

1. The ground truth is dilated three times with the 18-neighbourhood. A lesion is the part of the original ground truth
   within one 26-connected component of the dilation. Lesions of up to 50 mm3 are ignored.
2. All 26-connected components of the prediction that overlap a lesion's dilated component are assigned to the lesion; its
   Dice and HD95 compare them with the lesion. A component may be assigned to several lesions.
3. A lesion without components is missed: Dice 0, HD95 374 mm. A component without a lesion, however small, is false and
   counts the same.
4. Both scores are means over lesions and false components; they are 1 and 0 mm if there are neither.

The dilation counts voxels, which are 1 mm in BraTS; volumes and distances use the voxel size.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from brats_cascade.data.preprocess import bounding_box
from brats_cascade.evaluation.surfaces import Surfaces, measure_surfaces
from brats_cascade.labels import REGIONS, region_mask

LESION_NO_MATCH_MM = 374.0
# Written next to the scores by `evaluate`.
LESION_DEFINITION = "BraTS 2023 (BraTS-GLI), https://github.com/rachitsaluja/BraTS-2023-Metrics at 43c9052"
DILATIONS = 3
SMALLEST_MM3 = 50.0
TOLERANCE_MM = 1.0
LESION_MEANS = ("lesion_dice", "lesion_hd95", "nsd")
LESION_COUNTS = ("lesions", "lesions_missed", "lesions_false")
LESION_SCORES = (*LESION_MEANS, *LESION_COUNTS)


def score_lesions(truth: np.ndarray, prediction: np.ndarray, *, spacing: Sequence[float]) -> dict[str, float]:
    """Scores canonical labels (slices, rows, columns) with voxels of `spacing` mm lesion by lesion.

    Returns:
        `{region}_{score}` for every region and every name in `LESION_SCORES`: `lesion_dice` and `lesion_hd95` (mm) as
        above; `nsd`, the surface Dice of the whole region at a tolerance of 1 mm; and the numbers of lesions, missed
        lesions and false components.
    """
    box = bounding_box((truth > 0) | (prediction > 0), margin=DILATIONS)
    truth, prediction = truth[box], prediction[box]
    scores: dict[str, float] = {}
    for region in REGIONS:
        true, found = region_mask(truth, region=region), region_mask(prediction, region=region)
        of_region = score_lesion_masks(true, found, spacing=spacing)
        scores |= {f"{region}_{name}": value for name, value in of_region.items()}
    return scores


def score_lesion_masks(truth: np.ndarray, prediction: np.ndarray, *, spacing: Sequence[float]) -> dict[str, float]:
    """Scores one region, given two bool masks (slices, rows, columns): one value for every name in `LESION_SCORES`."""
    box = bounding_box(truth | prediction, margin=DILATIONS)
    truth, prediction = truth[box], prediction[box]
    whole = measure_surfaces(truth, prediction, spacing=spacing)
    scores, missed, false = _lesions(truth, prediction, spacing=spacing, whole=whole)
    count = len(scores) + false
    dice, distance = (sum(values) for values in zip(*scores, strict=True)) if scores else (0.0, 0.0)
    return {
        "lesion_dice": dice / count if count else 1.0,
        "lesion_hd95": (distance + false * LESION_NO_MATCH_MM) / count if count else 0.0,
        "nsd": whole.dice(tolerance=TOLERANCE_MM),
        "lesions": len(scores),
        "lesions_missed": missed,
        "lesions_false": false,
    }


def _lesions(
    truth: np.ndarray, prediction: np.ndarray, *, spacing: Sequence[float], whole: Surfaces
) -> tuple[list[tuple[float, float]], int, int]:
    """Dice and HD95 of every lesion, the number of missed lesions, and the number of false components."""
    touching = np.ones((3, 3, 3))
    grown = ndimage.binary_dilation(truth, ndimage.generate_binary_structure(3, 2), iterations=DILATIONS)
    zones, count = ndimage.label(grown, touching)  # equal to the dilation of each lesion
    parts, found = ndimage.label(prediction, touching)
    belongs = np.zeros((count + 1, found + 1), bool)
    both = grown & prediction
    belongs[zones[both], parts[both]] = True
    sizes = np.bincount(zones[truth], minlength=count + 1)
    scores, missed = [], 0
    for number in range(1, count + 1):
        if sizes[number] * np.prod(spacing) <= SMALLEST_MM3:
            continue
        if not belongs[number].any():
            scores.append((0.0, LESION_NO_MATCH_MM))
            missed += 1
            continue
        lesion, own = truth & (zones == number), belongs[number][parts]
        everything = count == 1 and bool(belongs[number, 1:].all())
        surfaces = whole if everything else measure_surfaces(lesion, own, spacing=spacing)
        dice = 2 * int((lesion & own).sum()) / int(lesion.sum() + own.sum())
        scores.append((dice, surfaces.hd95()))
    return scores, missed, found - int(belongs[:, 1:].any(axis=0).sum())
