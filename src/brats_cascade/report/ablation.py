"""Ablation answers in words: experiments that differ in one thing, and whether any always answers "non-tumour"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from brats_cascade.evaluation.paired import in_words, paired_difference
from brats_cascade.labels import REGIONS

if TYPE_CHECKING:
    import pandas as pd

# Thing that can differ -> its parameters and the question. Parameters named nowhere here are things of their own.
FACTORS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "architecture": (("architecture", "builds_on"), "Which architecture?"),
    "normalisation": (("normalisation", "dropout"), "Batch normalisation, dropout or neither?"),
    "class_weights": (("class_weights", "weight_power"), "Do class weights help, and which?"),
    "procedure": (("procedure", "phase2_steps", "steps", "phase1_steps"), "One phase or two?"),
    "steps": (("steps",), "How many training steps?"),
    "pooling": (("pooling",), "Max-pooling, or convolutions in its place?"),
    "cascade": (("cascade",), "CNN 1 frozen, or both trained together?"),
    "cnn1_output": (("cnn1_output",), "What of CNN 1 does CNN 2 see?"),
    "start": (("start",), "Which initialisation?"),
    "width": (("width",), "How wide?"),
    "sampler": (("sampler", "tile", "batch", "patch_order", "slice_epochs", "loss_on"), "Which sampling of pixels?"),
}
# Settings that say where a run was computed, not what was computed.
IGNORED = ("precision", "devices", "checkpoint_steps", "checks")
FALLEN = 0.1  # of the true tumour's volume


@dataclass(frozen=True)
class Experiment:
    """What the answers are made of.

    Attributes:
        name: Of the experiment.
        settings: architecture, builds_on and the parameters of its training.
        cases: Its cases.csv.
    """

    name: str
    settings: Mapping[str, Any]
    cases: "pd.DataFrame"

    @classmethod
    def of(cls, name: str, *, run: Mapping[str, Any], cases: "pd.DataFrame") -> "Experiment":
        """From `costs.read_facts` and cases.csv."""
        train = {key.removeprefix("train."): value for key, value in run.get("params", {}).items() if "train." in key}
        own = {key: run[key] for key in ("architecture", "builds_on") if key in run}
        return cls(name, {**train, **own}, cases)

    def factor(self, factor: str) -> dict[str, Any]:
        """The settings that belong to a factor."""
        keys = FACTORS[factor][0] if factor in FACTORS else (factor,)
        return {key: self.settings[key] for key in keys if key in self.settings}


def answers(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    """Compares every two experiments that differ in one factor alone.

    Args:
        experiments: In the order of params.yaml.

    Returns:
        One entry a factor: "question" and "lines", a sentence for each pair, what is compared first.
    """
    return [
        {"question": question_of(factor), "lines": [_sentence(*pair, factor=factor) for pair in pairs]}
        for factor, pairs in comparable(experiments).items()
    ]


def comparable(experiments: Sequence[Experiment]) -> dict[str, list[tuple[Experiment, Experiment]]]:
    """Factor -> the pairs that differ in it alone, what is compared first; the factors in the order of FACTORS."""
    found: dict[str, list[tuple[Experiment, Experiment]]] = {}
    for second, first in combinations(experiments, 2):
        differing = differing_factors(first, second)
        if len(differing) == 1:
            found.setdefault(differing[0], []).append((first, second))
    return {factor: found[factor] for factor in sorted(found, key=lambda name: [*FACTORS, *found].index(name))}


def question_of(factor: str) -> str:
    """What a factor's pairs answer."""
    return FACTORS[factor][1] if factor in FACTORS else f"Does {factor} matter?"


def differing_factors(first: Experiment, second: Experiment) -> list[str]:
    """Names the factors in which two experiments differ."""
    of_key = {key: factor for factor, (keys, _) in FACTORS.items() for key in keys}
    keys = [key for key in {**first.settings, **second.settings} if key not in IGNORED]
    if first.settings.get("normalisation") != "dropout" != second.settings.get("normalisation"):
        keys = [key for key in keys if key != "dropout"]  # its rate does nothing
    differing = [key for key in keys if first.settings.get(key) != second.settings.get(key)]
    if any(of_key.get(key) == "procedure" for key in differing):
        of_key["steps"] = "procedure"  # another procedure has its own number of steps
    return list(dict.fromkeys(of_key.get(key, key) for key in differing))


def lacking(experiment: Experiment) -> list[str]:
    """Which of the two things that the earlier work calls necessary an experiment does without."""
    needed = (("class_weights", "class weights"), ("normalisation", "batch norm or dropout"))
    return [words for key, words in needed if experiment.settings.get(key) == "none"]


def tumour_calls(experiments: Sequence[Experiment]) -> list[str]:
    """The earlier work's claim, put to the test: without weights and regularisation a model always says "non-tumour".

    Args:
        experiments: All; those without class weights or without normalisation are spoken of.

    Returns:
        A sentence for each.
    """
    lines = []
    for one in experiments:
        missing = lacking(one)
        if not missing:
            continue
        true, found = (float(one.cases[f"complete_{of}_cm3"].sum()) for of in ("truth", "predicted"))
        share = found / true if true else 0.0
        verdict = "it does fall into answering non-tumour" if share < FALLEN else "it does not fall into non-tumour"
        lines.append(
            f"{one.name}, without {' and without '.join(missing)}, marks {share:.0%} of the true tumours' volume as tumour "
            f"(complete Dice {one.cases['complete_dice'].mean():.3f}): {verdict}."
        )
    return lines


def _sentence(first: Experiment, second: Experiment, *, factor: str) -> str:
    one, other = (described(experiment, factor=factor, against=rest) for experiment, rest in
                  ((first, second), (second, first)))  # fmt: skip
    scores = "; ".join(
        f"{region} {first.cases[f'{region}_dice'].mean():.3f} against {second.cases[f'{region}_dice'].mean():.3f}"
        for region in REGIONS
    )
    difference = in_words(paired_difference(first.cases, second.cases, region="complete"))
    return f"{one} against {other}: mean Dice {scores}. Complete, paired: {difference}."


def described(experiment: Experiment, *, factor: str, against: Experiment) -> str:
    """An experiment's name with the settings of a factor in which it differs from another."""
    mine, theirs = experiment.factor(factor), against.factor(factor)
    different = [f"{key} {value}" for key, value in mine.items() if theirs.get(key) != value and key != "builds_on"]
    return f"{experiment.name} ({', '.join(different)})" if different else experiment.name
