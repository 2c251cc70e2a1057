"""A patient-wise cross-validation, read for the page of results."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade import provenance

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Crossval:
    """One patient-wise cross-validation; what it costs is the mean over its folds.

    Attributes:
        record: reports/crossval/E/summary.json.
        cases: reports/crossval/E/cases.csv, one row per case.
        again: Whether these are folds of another cross-validation, trained once more.
    """

    record: dict[str, Any]
    cases: "pd.DataFrame"
    again: bool = False

    @property
    def experiment(self) -> str:
        """That was trained in every fold."""
        return str(self.record["experiment"])

    @property
    def n4(self) -> bool:
        """Whether the bias field was corrected."""
        return bool(self.record.get("n4"))

    @property
    def name(self) -> str:
        """The experiment's; `E_n4` of corrected scans, so that both stand side by side."""
        return f"{self.experiment}_n4" if self.n4 else self.experiment

    @property
    def title(self) -> str:
        """The name in a table that both trainings stand in."""
        return f"{self.name} trained once more" if self.again else self.name

    @property
    def architecture(self) -> str:
        """Of the networks."""
        return str(self.record["architecture"])

    @property
    def summary(self) -> dict[str, Any]:
        """As metrics/E/summary.json, over all cases."""
        return dict(self.record["scores"])

    @property
    def training(self) -> float:
        """Seconds a fold, those of a CNN 1 that it builds on included."""
        return self._mean("seconds")

    @property
    def minutes(self) -> tuple[float, float]:
        """Minutes of a fold's training likewise: of the shortest and of the longest."""
        minutes = [fold["seconds"] / 60 for fold in self.record["folds"]]
        return min(minutes), max(minutes)

    @property
    def pixels(self) -> float:
        """Labelled pixels seen in a fold's training, likewise."""
        return self._mean("labelled_pixels")

    @property
    def prediction(self) -> float:
        """Seconds a case."""
        return float(self.cases["seconds"].mean())

    @property
    def validation(self) -> float:
        """Mean over the folds of the Dice on their validation patients."""
        return self._mean("validation_dice")

    @property
    def card(self) -> str:
        """The GPU that it was trained on, or empty."""
        return provenance.card_of(self.machines[0])

    @property
    def machines(self) -> list[str]:
        """That trained its folds, in the order of the folds."""
        return list(dict.fromkeys(str(fold["machine"]) for fold in self.record["folds"]))

    @property
    def numbers(self) -> list[int]:
        """Of the folds, from 0."""
        return [int(fold["fold"]) for fold in self.record["folds"]]

    @property
    def validation_cases(self) -> tuple[tuple[str, ...], ...] | None:
        """Every fold's validation cases; None of a fold that does not tell: all that do not had the same."""
        told = [fold.get("validation_cases") for fold in self.record["folds"]]
        return None if None in told else tuple(map(tuple, told))

    def of_folds(self, numbers: Sequence[int]) -> "Crossval":
        """The same with these folds alone."""
        folds = [fold for fold in self.record["folds"] if fold["fold"] in numbers]
        return Crossval({**self.record, "folds": folds}, self.cases[self.cases["fold"].isin(numbers)], self.again)

    def by_machine(self) -> dict[str, "Crossval"]:
        """Its folds apart by the machine that trained them."""
        return {
            one: self.of_folds([fold["fold"] for fold in self.record["folds"] if fold["machine"] == one])
            for one in self.machines
        }

    def _mean(self, key: str) -> float:
        folds = self.record["folds"]
        return float(sum(fold[key] for fold in folds) / len(folds))


def read_crossval(summary: Path, *, cases: Path) -> Crossval:
    """A cross-validation from its summary and its table of cases."""
    import pandas as pd

    return Crossval(
        json.loads(summary.read_text(encoding="utf-8")), pd.read_csv(cases, dtype={"case": str, "patient": str})
    )


def with_again(crossvals: Sequence[Crossval], *, again: Sequence[Crossval]) -> list[Crossval]:
    """Every cross-validation, each followed by its second training where that has every fold and so every case."""
    return [
        one
        for first in crossvals
        for one in (first, *(other for other in again if other.name == first.name and other.numbers == first.numbers))
    ]


def spread(span: tuple[float, float], *, decimals: int) -> str:
    """The smallest and the largest in words; one number where both read the same."""
    least, most = (f"{number:.{decimals}f}" for number in span)
    return least if least == most else f"{least} to {most}"


def longest(crossvals: Sequence[Crossval]) -> list[Crossval]:
    """Of every architecture the one that saw the most labelled pixels, whatever it reached; in order of appearance."""
    found: dict[str, Crossval] = {}
    for one in crossvals:
        longer = found.get(one.architecture)
        if longer is None or one.pixels > longer.pixels:
            found[one.architecture] = one
    return list(found.values())
