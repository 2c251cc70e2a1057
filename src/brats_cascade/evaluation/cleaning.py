"""Chooses the post-processing on the validation patients, from all combinations of the candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from brats_cascade.inference.postprocess import INNER, OFF, TOUCHING, Components, Thresholds, find_components, is_small
from brats_cascade.labels import REGIONS, region_mask


@dataclass(frozen=True)
class Parts:
    """The connected components of one region of a prediction; each array has one value per component."""

    size: int  # voxels of the region in the ground truth, including those outside the box
    found: np.ndarray  # voxels
    hits: np.ndarray  # voxels that are also in the ground truth
    parents: np.ndarray  # the component of the enclosing region that holds it, from 0; 0 for the complete tumour

    def dice(self, kept: np.ndarray) -> float:
        """The Dice of the region if only these components (bool) are kept; 1 if ground truth and prediction are empty."""
        both = self.size + int(self.found[kept].sum())
        return 2 * int(self.hits[kept].sum()) / both if both else 1.0


@dataclass(frozen=True)
class Tally:
    """Counts of one validation case at one operating point, sufficient to score any thresholds without its voxels."""

    components: Components
    regions: Mapping[str, Parts]  # from the outermost to the innermost
    voxel_mm3: float

    def dice(self, thresholds: Thresholds) -> dict[str, float]:
        """The Dice of every region after post-processing; 1 if ground truth and prediction are empty."""
        kept = ~self.components.removed(thresholds)
        scores = {}
        for region, parts in self.regions.items():
            if region in INNER:
                kept = kept[parts.parents]
                volumes = parts.found * self.voxel_mm3 * kept  # what went with its parent is not the largest
                kept = kept & ~is_small(volumes, least=thresholds.inner_component)
            scores[region] = parts.dice(kept)
        return scores


def tally(
    labels: np.ndarray,
    *,
    truth: np.ndarray,
    brain: np.ndarray,
    spacing: Sequence[float],
    outside: Mapping[str, int] | None = None,
) -> Tally:
    """Counts a validation case, given the network's labels, the ground truth and the brain, all (slices, rows, columns).

    `outside` gives the voxels of every region that the ground truth has beyond these arrays.
    """
    components = find_components(labels, brain=brain, spacing=spacing)
    regions, outer = {}, components.parts
    for region in REGIONS:
        true = region_mask(truth, region=region)
        numbered, count = ndimage.label(region_mask(labels, region=region), structure=TOUCHING)  # complete: as in outer
        found, hits = (np.bincount(numbered[mask], minlength=count + 1)[1:] for mask in (numbered > 0, true))
        parents = np.zeros(count, int)
        parents[numbered[numbered > 0] - 1] = outer[numbered > 0] - 1
        size = int(true.sum()) + (outside or {}).get(region, 0)
        regions[region], outer = Parts(size, found, hits, parents), numbered
    measures = Components(np.zeros(0, int), components.volumes, components.distances, components.flatness)
    return Tally(measures, regions, float(np.prod(spacing)))


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
