"""Chooses the post-processing on the validation patients, from all combinations of the candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from brats_cascade.inference.postprocess import OFF, Components, Thresholds, find_components
from brats_cascade.labels import REGIONS, region_mask


@dataclass(frozen=True)
class Tally:
    """Counts of one validation case at one operating point, sufficient to score any thresholds without its voxels."""

    components: Components
    truth: Mapping[str, int]  # region -> voxels in the ground truth
    found: Mapping[str, np.ndarray]  # region -> voxels in each component
    hits: Mapping[str, np.ndarray]  # region -> voxels of each component that are also in the ground truth

    def dice(self, thresholds: Thresholds) -> dict[str, float]:
        """The Dice of every region after post-processing; 1 if ground truth and prediction are empty."""
        kept = ~self.components.removed(thresholds)
        scores = {}
        for region, size in self.truth.items():
            both = size + int(self.found[region][kept].sum())
            scores[region] = 2 * int(self.hits[region][kept].sum()) / both if both else 1.0
        return scores


def tally(labels: np.ndarray, *, truth: np.ndarray, brain: np.ndarray, spacing: Sequence[float]) -> Tally:
    """Counts a validation case, given the network's labels, the ground truth and the brain, all (slices, rows, columns)."""
    components = find_components(labels, brain=brain, spacing=spacing)
    parts, count = components.parts, len(components.volumes)
    true = {region: region_mask(truth, region=region) for region in REGIONS}
    predicted = {region: region_mask(labels, region=region) for region in REGIONS}

    def per_component(mask: np.ndarray) -> np.ndarray:
        return np.bincount(parts[mask], minlength=count + 1)[1:]

    return Tally(
        components=Components(np.zeros(0, int), components.volumes, components.distances, components.flatness),
        truth={region: int(mask.sum()) for region, mask in true.items()},
        found={region: per_component(mask) for region, mask in predicted.items()},
        hits={region: per_component(mask & true[region]) for region, mask in predicted.items()},
    )


@dataclass(frozen=True)
class Choice:
    """The thresholds with the best validation score."""

    thresholds: Thresholds
    scores: Mapping[str, float]  # region -> mean validation Dice with them
    without: Mapping[str, float]  # region -> mean validation Dice without post-processing
    tried: int  # number of combinations
    each: Sequence[Mapping[str, float]] = ()  # region -> Dice with them for every case, in the given order

    def as_dict(self, *, cases: int) -> dict[str, Any]:
        """For metrics/E/summary.json, under `validation`: `dice` and `dice_without` are the means over the regions."""
        return {
            **{region: {"dice": value, "dice_without": self.without[region]} for region, value in self.scores.items()},
            "dice": mean_of(self.scores),
            "dice_without": mean_of(self.without),
            "cases": cases,
            "rules_tried": self.tried,
        }


def choose_thresholds(cases: Mapping[float, Sequence[Tally]], *, candidates: Sequence[Thresholds]) -> Choice:
    """Selects the candidate with the highest mean Dice over regions and cases; ties go to the first one.

    `cases` are the validation cases at the candidates' operating points and at 0. There must be at least one case and
    candidate.
    """
    if not cases.get(0) or not candidates:
        raise ValueError(f"expected validation cases and candidates, received {cases} and {candidates}")
    scored = [(thresholds, *_scores(cases, thresholds)) for thresholds in candidates]
    best, scores, each = max(scored, key=lambda found: round(mean_of(found[1]), 9))  # ties: the first
    return Choice(best, scores, _scores(cases, OFF)[0], len(candidates), each)


def mean_of(scores: Mapping[str, float]) -> float:
    """The mean over the regions."""
    return float(np.mean([scores[region] for region in REGIONS]))


def _scores(
    cases: Mapping[float, Sequence[Tally]], thresholds: Thresholds
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """The Dice of every region: the mean over the cases, and for each case."""
    each = [case.dice(thresholds) for case in cases[thresholds.operating_point]]
    return {region: float(np.mean([scores[region] for scores in each])) for region in REGIONS}, each
