"""Choosing the post-processing rule: on the validation patients, from every combination of the candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from brats_cascade.inference.postprocess import OFF, Components, Rule, find_components
from brats_cascade.labels import REGIONS, region_mask


@dataclass(frozen=True)
class Tally:
    """One validation case, counted: enough to score any rule without touching its voxels again.

    Attributes:
        components: Its components, measured.
        truth: Region -> voxels in the truth.
        found: Region -> voxels in each component.
        hits: Region -> voxels in each component that the truth has too.
    """

    components: Components
    truth: Mapping[str, int]
    found: Mapping[str, np.ndarray]
    hits: Mapping[str, np.ndarray]

    def dice(self, rule: Rule) -> dict[str, float]:
        """Dice of every region with the rule applied; 1 where truth and prediction are empty."""
        kept = ~self.components.removed(rule)
        scores = {}
        for region, size in self.truth.items():
            both = size + int(self.found[region][kept].sum())
            scores[region] = 2 * int(self.hits[region][kept].sum()) / both if both else 1.0
        return scores


def tally(labels: np.ndarray, *, truth: np.ndarray, brain: np.ndarray, spacing: Sequence[float]) -> Tally:
    """Counts a validation case.

    Args:
        labels: Canonical labels as the network gave them (slices, rows, columns).
        truth: The truth, same shape.
        brain: bool, same shape.
        spacing: Of the voxels, mm.
    """
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
    """The rule that did best on validation.

    Attributes:
        rule: The rule.
        scores: Region -> mean validation Dice with it.
        without: Region -> mean validation Dice of the bare segmentation.
        tried: Number of rules tried.
    """

    rule: Rule
    scores: Mapping[str, float]
    without: Mapping[str, float]
    tried: int

    def as_dict(self, *, cases: int) -> dict[str, Any]:
        """For metrics/E/summary.json, under `validation`: `dice` and `dice_without` are the means over the regions."""
        return {
            **{region: {"dice": value, "dice_without": self.without[region]} for region, value in self.scores.items()},
            "dice": mean_of(self.scores),
            "dice_without": mean_of(self.without),
            "cases": cases,
            "rules_tried": self.tried,
        }


def choose_rule(cases: Sequence[Tally], *, rules: Sequence[Rule]) -> Choice:
    """Takes the rule with the highest mean Dice over regions and cases; of equal ones the first.

    Args:
        cases: The validation cases.
        rules: Candidates, the one that removes least first.

    Returns:
        The choice.

    Raises:
        ValueError: There is no case or no rule.
    """
    if not cases or not rules:
        raise ValueError(f"expected validation cases and rules, received {len(cases)} and {len(rules)}")
    scored = [(rule, _mean(cases, rule)) for rule in rules]
    best, scores = max(scored, key=lambda pair: round(mean_of(pair[1]), 9))  # max keeps the first of equal ones
    return Choice(best, scores, _mean(cases, OFF), len(rules))


def mean_of(scores: Mapping[str, float]) -> float:
    """The mean over the regions."""
    return float(np.mean([scores[region] for region in REGIONS]))


def _mean(cases: Sequence[Tally], rule: Rule) -> dict[str, float]:
    each = [case.dice(rule) for case in cases]
    return {region: float(np.mean([scores[region] for scores in each])) for region in REGIONS}
