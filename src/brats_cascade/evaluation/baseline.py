"""The baseline for all networks: a single threshold on one modality, chosen on the training cases."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from brats_cascade import MODALITIES
from brats_cascade.data.store import StoredCase
from brats_cascade.evaluation.regions import score_masks

GRID = np.linspace(0.02, 0.98, 49)


@dataclass(frozen=True)
class Threshold:
    """Labels every brain voxel on one side of a value of one modality as complete tumour."""

    modality: str
    side: Literal["above", "below"]  # side that is tumour
    value: float  # in standard deviations from the brain's mean
    training_dice: float  # mean complete Dice over the training cases

    def segment(self, case: StoredCase) -> np.ndarray:
        """The complete tumour in a case, bool (slices, rows, columns)."""
        channel = np.asarray(case.image[..., MODALITIES.index(self.modality)])
        return (channel > self.value if self.side == "above" else channel < self.value) & np.asarray(case.brain)

    def __str__(self) -> str:
        return f"{self.modality} {self.side} {self.value:+.2f} SD"


def fit_threshold(cases: Sequence[StoredCase]) -> Threshold:
    """Chooses the modality, side and value that maximise the mean complete Dice over the training cases, at least one.

    The candidate values are the mean quantiles (2 % to 98 %) of the cases' brains, the same for every case.
    """
    found: list[Threshold] = []
    for number, modality in enumerate(MODALITIES):
        brains, tumours = zip(*(_sorted_values(case, number=number) for case in cases), strict=True)
        sizes = [int(np.count_nonzero(np.asarray(case.labels))) + case.outside["complete"] for case in cases]
        grid = np.mean([np.quantile(brain, GRID) for brain in brains], axis=0)
        dice = {"above": np.zeros(len(grid)), "below": np.zeros(len(grid))}
        for brain, tumour, size in zip(brains, tumours, sizes, strict=True):
            dice["above"] += _dice(_above(tumour, grid), _above(brain, grid), size)
            dice["below"] += _dice(_below(tumour, grid), _below(brain, grid), size)
        for side in ("above", "below"):
            best = int(np.argmax(dice[side]))
            found.append(Threshold(modality, side, float(grid[best]), float(dice[side][best] / len(cases))))
    return max(found, key=lambda threshold: threshold.training_dice)


def score_threshold(threshold: Threshold, *, cases: Iterable[StoredCase]) -> pd.DataFrame:
    """Applies a threshold to test cases with ground truth: one row per case, with scores of the complete tumour.

    Specificity is omitted, because it would refer to the cropped volume.
    """
    rows = []
    for case in cases:
        truth, spacing, outside = np.asarray(case.labels) > 0, case.meta["spacing"], case.outside["complete"]
        scores = score_masks(truth, threshold.segment(case), spacing=spacing, outside=outside)
        kept = {f"complete_{name}": scores[name] for name in ("dice", "ppv", "sensitivity", "hd95")}
        rows.append({"case": case.name, **kept})
    return pd.DataFrame(rows)


def baseline_summary(threshold: Threshold, *, scores: pd.DataFrame) -> dict[str, Any]:
    """The baseline in reports/comparison.json, from `score_threshold`: its rule, training_dice and mean scores."""
    names = [str(name) for name in scores.columns if name != "case"]
    means = {name.removeprefix("complete_"): float(scores[name].mean()) for name in names}
    return {"rule": str(threshold), "training_dice": threshold.training_dice, "complete": means}


def _sorted_values(case: StoredCase, *, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The values of one modality over the brain, and over the tumour in it, each ascending."""
    brain = np.asarray(case.brain)
    values = np.asarray(case.image[..., number])[brain]
    inside = np.asarray(case.labels)[brain] > 0
    return np.sort(values), np.sort(values[inside])


def _above(ascending: np.ndarray, grid: np.ndarray) -> np.ndarray:
    return len(ascending) - np.searchsorted(ascending, grid, side="right")


def _below(ascending: np.ndarray, grid: np.ndarray) -> np.ndarray:
    return np.searchsorted(ascending, grid, side="left")


def _dice(hits: np.ndarray, found: np.ndarray, truth: int) -> np.ndarray:
    both = found + truth
    return np.where(both > 0, 2.0 * hits / np.maximum(both, 1), 1.0)
