"""Pairs of experiments that differ in one setting, and whether experiments without regularisation collapse to background."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from brats_cascade.evaluation.paired import paired_difference
from brats_cascade.labels import REGIONS

if TYPE_CHECKING:
    import pandas as pd

# Factor -> its parameters and the question. A parameter that is named nowhere here is a factor of its own.
FACTORS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "architecture": (("architecture", "builds_on"), "Which architecture?"),
    "normalisation": (("normalisation", "dropout"), "Batch normalisation, dropout or neither?"),
    "class_weights": (("class_weights", "weight_power"), "Do class weights help, and which?"),
    "procedure": (("procedure", "phase2_steps", "steps"), "One phase or two?"),
    "steps": (("steps",), "How many training steps?"),
    "pooling": (("pooling",), "Max-pooling, or convolutions in its place?"),
    "cascade": (("cascade",), "CNN 1 frozen, or both trained together?"),
    "cnn1_output": (("cnn1_output",), "Which output of CNN 1 does CNN 2 see?"),
    "start": (("start",), "Which initialisation?"),
    "width": (("width",), "Which width?"),
    "sampler": (("sampler", "tile", "batch", "patch_order", "slice_epochs", "loss_on"), "Which sampling of pixels?"),
}
# Settings that say where a run was computed, not what was computed.
IGNORED = ("precision", "devices", "checkpoint_steps", "checks")
REGULARISERS = {"class_weights": "class weights", "normalisation": "batch normalisation or dropout"}
COLLAPSED = 0.1  # predicted over true tumour volume


@dataclass(frozen=True)
class Experiment:
    """An experiment to compare: its name, its settings (architecture, builds_on and those of its training), its cases.csv."""

    name: str
    settings: Mapping[str, Any]
    cases: "pd.DataFrame"

    @classmethod
    def of(cls, name: str, *, run: Mapping[str, Any], cases: "pd.DataFrame") -> "Experiment":
        """From `costs.read_facts` and cases.csv."""
        train = {key.removeprefix("train."): value for key, value in run.get("params", {}).items() if "train." in key}
        own = {key: run[key] for key in ("architecture", "builds_on") if key in run}
        return cls(name, {**train, **own}, cases)


def comparisons(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    """Compares every two experiments that differ in one factor alone.

    Returns:
        Per factor "question" and "rows": "first" and "second" (name and differing settings), and per region the
        `paired_difference` of the first minus the second.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for second, first in combinations(experiments, 2):
        factors = differing_factors(first, second)
        if len(factors) == 1:
            row: dict[str, Any] = {
                "first": _described(first, against=second, factor=factors[0]),
                "second": _described(second, against=first, factor=factors[0]),
            }
            row |= {region: paired_difference(first.cases, second.cases, region=region) for region in REGIONS}
            found.setdefault(factors[0], []).append(row)
    in_order = sorted(found, key=lambda name: [*FACTORS, *found].index(name))
    return [
        {"question": FACTORS[factor][1] if factor in FACTORS else f"Does {factor} matter?", "rows": found[factor]}
        for factor in in_order
    ]


def differing_factors(first: Experiment, second: Experiment) -> list[str]:
    """Names the factors in which two experiments differ."""
    of_key = {key: factor for factor, (keys, _) in FACTORS.items() for key in keys}
    keys = [key for key in {**first.settings, **second.settings} if key not in IGNORED]
    if first.settings.get("normalisation") != "dropout" != second.settings.get("normalisation"):
        keys = [key for key in keys if key != "dropout"]  # without dropout its rate has no effect
    differing = [key for key in keys if first.settings.get(key) != second.settings.get(key)]
    if any(of_key.get(key) == "procedure" for key in differing):
        of_key["steps"] = "procedure"  # another procedure has its own number of steps
    return list(dict.fromkeys(of_key.get(key, key) for key in differing))


def collapses(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    """Tests whether training without class weights or without normalisation collapses to background.

    Returns:
        For each such experiment its name, "without", "ratio" (predicted over true tumour volume), "dice" (complete) and
        "collapsed".
    """
    rows = []
    for experiment in experiments:
        lacking = [words for key, words in REGULARISERS.items() if experiment.settings.get(key) == "none"]
        if lacking:
            cases = experiment.cases
            true, predicted = (float(cases[f"complete_{kind}_cm3"].sum()) for kind in ("truth", "predicted"))
            ratio = predicted / true if true else 0.0
            dice = float(cases["complete_dice"].mean())
            named = {"experiment": experiment.name, "without": " or ".join(lacking)}
            rows.append({**named, "ratio": ratio, "dice": dice, "collapsed": ratio < COLLAPSED})
    return rows


def _described(experiment: Experiment, *, against: Experiment, factor: str) -> str:
    """An experiment's name with the settings of a factor in which it differs from another."""
    keys = FACTORS[factor][0] if factor in FACTORS else (factor,)
    mine, theirs = experiment.settings, against.settings
    different = [f"{key} {mine[key]}" for key in keys if key in mine and theirs.get(key) != mine[key]]
    different = [words for words in different if not words.startswith("builds_on ")]
    return f"{experiment.name} ({', '.join(different)})" if different else experiment.name
