"""What the pipeline left of every experiment, read for the page of results."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from brats_cascade import provenance
from brats_cascade.config import ExperimentParams
from brats_cascade.costs import read_cases, read_facts
from brats_cascade.record.crossval_result import Crossval

if TYPE_CHECKING:
    import pandas as pd


INGESTED = ("clip", "n4", "zscore", "axis")  # keys of model.json and of params.yaml `ingest`


@dataclass(frozen=True)
class Result:
    """One experiment.

    Attributes:
        name: Of the experiment.
        run: What `costs.read_facts` knows of its training, with `n4` of model.json, whether the bias field was corrected, and
            `scans`, what the networks were given on any machine: "voxels" (`provenance.scans_hash`) and how they were
            ingested.
        summary: metrics/E/summary.json.
        cases: From `costs.read_cases`, one row per unseen case.
        nine: metrics/E/nine_slices.csv, or None.
        first: The same of the experiment whose network is its CNN 1, or empty.
        command: What made it.
    """

    name: str
    run: dict[str, Any]
    summary: dict[str, Any]
    cases: "pd.DataFrame"
    nine: "pd.DataFrame | None"
    first: dict[str, Any]
    command: str = ""

    @property
    def architecture(self) -> str:
        """Of the network."""
        return str(self.run.get("architecture", ""))

    @property
    def training(self) -> float:
        """Seconds of training, those of a CNN 1 that it builds on included."""
        return float(self.run.get("seconds", "nan")) + float(self.first.get("seconds", 0))

    @property
    def pixels(self) -> int:
        """Labelled pixels seen in training, likewise."""
        return int(self.run["labelled_pixels"]) + int(self.first.get("labelled_pixels", 0))

    @property
    def prediction(self) -> float:
        """Seconds a case, the mean over the unseen cases."""
        return float(self.cases["seconds"].mean())

    @property
    def card(self) -> str:
        """The GPU that it was trained on, or empty."""
        return provenance.card_of(str(self.run.get("machine", "")))

    @property
    def validation(self) -> float:
        """Mean Dice over regions and validation cases: the only score by which anything is chosen."""
        return float(self.summary["validation"]["dice"])


Scored = TypeVar("Scored", Result, Crossval)


def read_results(root: Path, *, names: list[str]) -> list[Result]:
    """Reads the named experiments.

    Args:
        root: The project's folder.
        names: Experiments with metrics and a trained model.

    Returns:
        One entry each.
    """
    return [_read_result(root, name=name) for name in names]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file; empty if there is none."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def in_order(results: "Sequence[Scored]") -> "list[Scored]":
    """The paper's architectures in its order, then others; those of one architecture as they were."""
    known = get_args(ExperimentParams.model_fields["architecture"].annotation)
    return sorted(results, key=lambda one: known.index(one.architecture))


def champions(results: list[Result]) -> list[Result]:
    """The best of every architecture by validation score, in order of appearance."""
    found: dict[str, Result] = {}
    for one in results:
        best = found.get(one.architecture)
        if best is None or one.validation > best.validation:
            found[one.architecture] = one
    return list(found.values())


def _read_result(root: Path, *, name: str) -> Result:
    import pandas as pd

    metrics = root / "metrics" / name
    run, contract = read_facts(root, name=name), read_json(root / "models" / name / "model.json")
    place, _, first = str(run.get("builds_on", "")).partition("/")
    nine, voxels = metrics / "nine_slices.csv", provenance.scans_hash(root / "data/cases.parquet")
    scans = {"voxels": voxels, **{key: contract.get(key) for key in INGESTED}} if voxels else {}
    return Result(
        name,
        {**run, "n4": bool(contract.get("n4")), "scans": scans},
        read_json(metrics / "summary.json"),
        read_cases(root, name=name),
        pd.read_csv(nine, dtype={"case": str}) if nine.is_file() else None,
        read_facts(root, name=first) if place == "models" else {},
    )
