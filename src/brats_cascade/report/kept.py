"""Results kept in git: per record a table of scores, NAME.csv, and a file of facts, NAME.json."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade.errors import UserError, one_line
from brats_cascade.evaluation.summary import SUMMARISED
from brats_cascade.labels import REGIONS
from brats_cascade.shared import write_text

SPLIT, CROSS_VALIDATION = "split", "cross-validation"
KEY = ["experiment", "protocol"]
CASE = ["patient", "case", "grade"]
STORED = (*SUMMARISED, "lesion_dice")  # NaN where it was not measured
DECIMALS = 6  # decimals of a score in NAME.csv


@dataclass(frozen=True)
class Record:
    """Results of several experiments on the same scans."""

    scores: pd.DataFrame  # one row per experiment, protocol, case and region: KEY, CASE, region, STORED (HD95 in mm)
    data: dict[str, Any]  # hash of cohort and raw voxels, release, classes, how the scans were ingested, split
    baseline: dict[str, Any]  # the threshold baseline's scores, as in reports/comparison.json; may be empty
    experiments: list[dict[str, Any]]  # facts of each as in `last_run`, those of a fold where there are folds

    def cases(self, facts: Mapping[str, Any]) -> pd.DataFrame:
        """The scores of one experiment, given its facts, as in metrics/E/cases.csv, one row per case."""
        own = self.scores[(self.scores[KEY] == [facts[key] for key in KEY]).all(axis=1)]
        tables = [
            own[own["region"] == region].set_index(CASE)[list(STORED)].add_prefix(f"{region}_") for region in REGIONS
        ]
        return pd.concat(tables, axis=1).reset_index()

    def joined(self, newer: "Record") -> "Record":
        """This record with the experiments of a newer record added or, if both have them, replaced.

        Raises:
            UserError: The newer record is of other scans, or its split has other test cases.
        """
        where = "choose another name for the record"
        scans = [record.data.get("scans") for record in (self, newer)]
        if all(scans) and scans[0] != scans[1]:
            raise UserError(f"the record has results on the scans {scans[0]}, found {scans[1]}; {where}")
        tests = [set(record.scores.loc[record.scores["protocol"] == SPLIT, "case"]) for record in (self, newer)]
        if all(tests) and tests[0] != tests[1]:
            odd = ", ".join(sorted(tests[0] ^ tests[1])[:3])
            raise UserError(f"the record has another test set than this run (different in {odd}); {where}")
        made = [[entry[key] for key in KEY] for entry in newer.experiments]
        kept = [entry for entry in self.experiments if [entry[key] for key in KEY] not in made]
        replaced = self.scores[KEY].apply(list, axis=1).isin(made)
        scores = pd.concat([self.scores[~replaced], newer.scores], ignore_index=True)
        return Record(scores, {**self.data, **newer.data}, newer.baseline or self.baseline, [*kept, *newer.experiments])


def read_record(path: Path) -> Record:
    """The record in docs/results/NAME.json and NAME.csv.

    Raises:
        UserError: There is no such record, or it is damaged.
    """
    if not path.is_file():
        known = ", ".join(file.stem for file in sorted(path.parent.glob("*.json"))) or "none"
        raise UserError(
            f"{path}: no stored results of this name (known: {known}); run without --kept after `dvc repro`"
        )
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        scores = pd.read_csv(path.with_suffix(".csv"), dtype={"patient": str, "case": str}, keep_default_na=False)
        numbers = {score: pd.to_numeric(scores.get(score, pd.Series(math.nan, scores.index))) for score in STORED}
        return Record(scores.assign(**numbers), **facts)
    except (FileNotFoundError, ValueError, TypeError) as error:
        raise UserError(
            f"{path}: it and {path.stem}.csv are not a readable record ({one_line(error)}); restore both, for example from git"
        ) from None


def write_record(record: Record, *, path: Path) -> None:
    """Writes NAME.json and NAME.csv."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"data": record.data, "baseline": record.baseline, "experiments": record.experiments}
    write_text(path, json.dumps(facts, indent=1) + "\n")
    write_text(path.with_suffix(".csv"), record.scores.to_csv(index=False))


def score_rows(cases: pd.DataFrame, *, experiment: str, protocol: str) -> pd.DataFrame:
    """The rows of NAME.csv for a table of cases as in metrics/E/cases.csv; the protocol is SPLIT or CROSS_VALIDATION."""

    parts = []
    for region in REGIONS:
        scores = {score: cases.get(f"{region}_{score}", math.nan) for score in STORED}
        parts.append(cases[CASE].assign(region=region, **scores))
    rows = pd.concat(parts, ignore_index=True).round(DECIMALS).sort_values(["case", "region"], ignore_index=True)
    for column, value in zip(reversed(KEY), (protocol, experiment), strict=True):
        rows.insert(0, column, value)
    return rows
