"""Sections of the report that compare all experiments: nine slices, ablation, post-processing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from brats_cascade.evaluation.slices import EARLIER_WORK_COLUMN
from brats_cascade.evaluation.summary import against, paired_difference
from brats_cascade.inference.postprocess import Thresholds
from brats_cascade.labels import REGIONS
from brats_cascade.params import TrainParams
from brats_cascade.report.render import short

# Factor -> its parameters, and a question. A parameter that is not listed here is a factor of its own.
FACTORS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "architecture": (("architecture", "builds_on"), "Which architecture?"),
    "normalisation": (("normalisation", "dropout"), "Batch normalisation, dropout or neither?"),
    "class_weights": (("class_weights", "weight_power"), "Do class weights help, and which?"),
    "procedure": (("procedure", "phase2_steps", "steps"), "One phase or two?"),
    "steps": (("steps",), "How many training steps?"),
    "pooling": (("pooling",), "Max-pooling or convolutions?"),
    "cascade": (("cascade",), "CNN 1 frozen, or both trained together?"),
    "cnn1_output": (("cnn1_output",), "Which output of CNN 1 does CNN 2 see?"),
    "start": (("start",), "Which initialisation?"),
    "width": (("width",), "Which width?"),
    "sampler": (("sampler", "tile", "batch", "patch_order", "slice_epochs", "loss_on"), "Which sampling of pixels?"),
}
# Settings that do not affect what is learned.
IGNORED = ("precision", "devices", "checkpoint_steps", "checks")
# Of settings that older records lack.
DEFAULTS = {name: field.default for name, field in TrainParams.model_fields.items() if not field.is_required()}
REGULARISERS = {"class_weights": "class weights", "normalisation": "batch normalisation or dropout"}
COLLAPSED = 0.1  # predicted over true tumour volume


@dataclass(frozen=True)
class Experiment:
    """An experiment to compare: its name, settings (architecture, builds_on and training settings) and cases.csv."""

    name: str
    settings: Mapping[str, Any]
    cases: pd.DataFrame


def settled(part: Mapping[str, Any]) -> Experiment:
    """Makes an Experiment from the entry of `report.index`."""
    run = part["run"]
    train = {key.removeprefix("train."): value for key, value in run.get("params", {}).items() if "train." in key}
    own = {key: run[key] for key in ("architecture", "builds_on") if key in run}
    return Experiment(part["name"], {**train, **own}, part["cases"])


def comparisons(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    """Compares all pairs of experiments that differ in exactly one factor.

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
    """The factors in which two experiments differ."""
    of_key = {key: factor for factor, (keys, _) in FACTORS.items() for key in keys}
    one, other = ({**DEFAULTS, **experiment.settings} for experiment in (first, second))
    keys = [key for key in {**one, **other} if key not in IGNORED]
    if first.settings.get("normalisation") != "dropout" != second.settings.get("normalisation"):
        keys = [key for key in keys if key != "dropout"]  # without dropout its rate has no effect
    differing = [key for key in keys if one.get(key) != other.get(key)]
    if any(of_key.get(key) == "procedure" for key in differing):
        of_key["steps"] = "procedure"  # the number of steps belongs to the procedure
    return list(dict.fromkeys(of_key.get(key, key) for key in differing))


def collapses(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    """Checks whether training without class weights or without normalisation collapses to background.

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
    """An experiment's name with those settings of a factor in which it differs from another."""
    keys = FACTORS[factor][0] if factor in FACTORS else (factor,)
    mine, theirs = experiment.settings, against.settings
    different = [f"{key} {mine[key]}" for key in keys if key in mine and theirs.get(key) != mine[key]]
    different = [words for words in different if not words.startswith("builds_on ")]
    return f"{experiment.name} ({', '.join(different)})" if different else experiment.name


def nine_slices_table(done: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Nine slices through the largest tumour of the test set, the same for all experiments."""
    tables = {part["name"]: part["nine_slices"] for part in done if part["nine_slices"] is not None}
    if not tables:
        return None
    first = next(iter(tables.values()))
    numbers = first["slice"].tolist()
    rows = []
    for name, table in tables.items():
        nine = table.set_index("slice").reindex(numbers)
        entry = {"name": name, "true": [short(value, ".3f") or "-" for value in nine["complete_f1"]]}
        rows.append(entry | {"agreement": [short(value, ".3f") or "-" for value in nine[EARLIER_WORK_COLUMN]]})
    return {"case": str(first["case"].iloc[0]), "slices": numbers, "rows": rows}


def ablation_section(done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Pairs of experiments that differ in one setting, and experiments without class weights or regularisation."""
    known = [settled(part) for part in done if part["cases"] is not None and part["run"]]
    return {"comparisons": comparisons(known), "collapses": collapses(known)}


def paired_section(name: str | None, *, done: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """The experiment with the best validation score compared with each of the others."""
    tables = {part["name"]: part["cases"] for part in done if part["cases"] is not None}
    return against(name, tables=tables) if name is not None and name in tables else {}


def postprocess_section(done: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Scores with and without the rule chosen on validation, for validation and test cases."""
    rows = []
    for part in done:
        summary = part["summary"]
        if "postprocess" not in summary:
            continue
        held, bare = summary["validation"], summary["without_postprocess"]
        rows.append(
            {
                "name": part["name"],
                "rule": str(Thresholds(**summary["postprocess"])),
                "validation": f"{held['dice_without']:.3f} → {held['dice']:.3f}",
                "complete": f"{bare['complete']['dice']:.3f} → {summary['complete']['dice']:.3f}",
                "hd95": f"{bare['complete']['hd95']:.1f} → {summary['complete']['hd95']:.1f}",
            }
        )
    return rows


def duration(seconds: float) -> str:
    """A duration in seconds, below ten with a decimal, or, from two minutes, in minutes."""
    return f"{seconds:.{0 if seconds >= 10 else 1}f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
