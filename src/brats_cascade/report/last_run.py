"""Collects the results of the last pipeline run, and of its repeats on other folds, as a record."""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade import costs
from brats_cascade.errors import UserError
from brats_cascade.project import Project, read_json_if_there, read_table_if_there
from brats_cascade.report.kept import CROSS_VALIDATION, SPLIT, Record, score_rows

INGESTED = ("clip", "zscore", "axis")  # keys of model.json


def record_of_run(root: Path, *, command: str) -> Record:
    """Reads the output of `dvc repro`, or another `command`: metrics/E, models/E, their costs, and reports/repeat.csv.

    Raises:
        UserError: There is no comparison yet, or the run is one fold of a cross-validation whose other folds are missing.
    """
    compared, crossed = read_json_if_there(Project(root).reports / "comparison.json") or {}, _cross_validated(root)
    names = list(compared.get("experiments", ())) or list(crossed)
    if not names:
        raise UserError(
            f"{root / 'reports/comparison.json'}: not found, or empty; run `dvc repro` first, in the project's root"
        )
    tables, facts = [], []
    for name in names:
        fold, known = costs.read_facts(root, name=name).get("fold", "none"), _training(root, name=name)
        if fold == "none":
            cases = costs.read_cases(root, name=name)
            tables.append(score_rows(cases, experiment=name, protocol=SPLIT))
            dice = (read_json_if_there(root / f"metrics/{name}/summary.json") or {})["validation"]["dice"]
            own = {"seconds_per_case": _mean_seconds(cases), "validation_dice": dice, "command": command}
            facts.append({"experiment": name, "protocol": SPLIT, **known, **own})
        elif name not in crossed:
            raise UserError(
                f"{name}: trained on fold {fold}, not on the split; run `dvc repro` with split.folds: 0 first, or the other "
                "folds and `brats-cascade repeat`"
            )
        if name in crossed:
            tables.append(score_rows(crossed[name], experiment=name, protocol=CROSS_VALIDATION))
            of_all = {key: known[key] for key in ("architecture", "n4", "commit", "labelled_pixels")} | _spent(
                crossed[name]
            )
            facts.append({"experiment": name, "protocol": CROSS_VALIDATION, **of_all, "command": command})
    return Record(pd.concat(tables, ignore_index=True), _data(root, name=names[0]), compared.get("baseline", {}), facts)


def scans_hash(table: Path, *, excluded: Collection[str] = ()) -> str:
    """A hash of the scans in use that is the same on every machine; "" without the table (data/cases.parquet).

    DVC's hashes depend on files computed by ingest, whose last digits differ between processors (sums are computed in
    another order). This hash depends on the name, patient, raw voxels and label counts of every case that is not `excluded`.
    """
    known = ("case", "patient", "voxels_hash")
    cases = read_table_if_there(table, columns=known)
    if cases is None:
        return ""
    counts = sorted(str(name) for name in cases if str(name).startswith("label_"))
    used = cases[~cases["case"].isin(list(excluded))].sort_values("case")
    rows = used[[*known, *counts]].astype("string").fillna("").to_numpy().tolist()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:32]


def _mean_seconds(cases: pd.DataFrame) -> float | None:
    return None if cases["seconds"].isna().any() else round(float(cases["seconds"].mean()), 2)


def _spent(cases: pd.DataFrame) -> dict[str, Any]:
    """The number of folds; and if all folds recorded them, mean costs and the most frequent machine."""
    found: dict[str, Any] = {"folds": int(cases["folds"].iloc[0])}
    folds = cases.drop_duplicates("fold")
    if "training_seconds" in cases and folds["training_seconds"].notna().all():
        machine = str(folds["machine"].mode().iloc[0])
        found |= {"training_seconds": round(float(folds["training_seconds"].mean()), 1), "machine": machine}
        found |= {"seconds_per_case": _mean_seconds(cases)}
    return found


def _training(root: Path, *, name: str) -> dict[str, Any]:
    """Facts of a training; time and labelled pixels of a cascade include those of its CNN 1."""
    own, *_ = trainings = costs.trainings_of(root, name=name)
    seconds = [training["seconds"] for training in trainings if "seconds" in training]
    return {
        "architecture": own["architecture"],
        "n4": bool(_contract(root, name=name).get("n4")),
        "training_seconds": sum(seconds) if len(seconds) == len(trainings) else None,
        "labelled_pixels": sum(training.get("labelled_pixels", 0) for training in trainings),
        "machine": own.get("machine", "unknown"),
        "commit": own.get("git_commit", "unknown"),
        "volumes": own.get("data_hashes", {}).get("data/volumes", ""),
    }


def _contract(root: Path, *, name: str) -> dict[str, Any]:
    """models/E/model.json, if it exists."""
    return read_json_if_there(Project(root).models / name / "model.json") or {}


def _cross_validated(root: Path) -> dict[str, pd.DataFrame]:
    """Experiments in reports/repeat.csv with all folds, for the first seed that has all of them."""
    rows = read_table_if_there(Project(root).reports / "repeat.csv")
    if rows is None:
        return {}
    found: dict[str, pd.DataFrame] = {}
    for (name, folds, _), part in rows.groupby(["experiment", "folds", "seed"]):
        if folds and part["fold"].nunique() == folds:
            found.setdefault(str(name), part)
    return found


def _data(root: Path, *, name: str) -> dict[str, Any]:
    """The cohort, its preprocessing and split."""
    contract, facts = _contract(root, name=name), costs.read_facts(root, name=name)
    splits = read_json_if_there(Project(root).splits) or {}
    patients, verdict = splits.get("patients", splits), read_json_if_there(Project(root).verdict) or {}
    return {
        "scans": scans_hash(Project(root).cases, excluded=[case["case"] for case in verdict.get("set_aside", ())]),
        "release": facts.get("release", "unknown"),
        "classes": facts.get("classes", []),
        **{key: contract[key] for key in INGESTED if key in contract},
        "split": {part: len(patients[part]) for part in ("train", "validation", "test") if part in patients},
    }
