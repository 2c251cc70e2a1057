"""What a finished fold of a cross-validation leaves: two small files, which another machine can take instead of training it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade.costs import read_cases, read_facts
from brats_cascade.errors import UserError
from brats_cascade.tracking.notes import read_note


@dataclass(frozen=True)
class Fold:
    """One fold.

    Attributes:
        row: Its number, its cases by part, which of them are for validation, training seconds and labelled pixels (those of
            a CNN 1 included), validation Dice, MLflow run, machine and commit.
        made: architecture, release and classes of the network.
        cases: From `costs.read_cases`: one row per unseen case.
    """

    row: dict[str, Any]
    made: dict[str, Any]
    cases: pd.DataFrame


def gather_fold(place: Path, *, order: Sequence[str], fold: int) -> Fold:
    """Reads what the stages left in a fold's folder.

    Args:
        place: The fold's folder.
        order: The experiment, last, after the one it builds on.
        fold: Its number.
    """
    name = order[-1]
    records = [run_in_fold(place, name=one) for one in order]
    splits, scores = _read(place / "data/splits.json"), _read(place / "metrics" / name / "summary.json")
    row = {
        "fold": fold,
        **{part: len(splits[part]) for part in ("train", "validation", "test")},
        "validation_cases": sorted(splits["validation"]),
        "seconds": round(sum(record["seconds"] for record in records), 1),
        "labelled_pixels": sum(record["labelled_pixels"] for record in records),
        "validation_dice": scores["validation"]["dice"],
        "run_id": records[-1]["run_id"],
        "machine": records[-1]["machine"],
        "git_commit": records[-1]["git_commit"],
    }
    made = {key: records[-1][key] for key in ("architecture", "release", "classes")}
    return Fold(row, made, read_cases(place, name=name))


def run_in_fold(place: Path, *, name: str) -> dict[str, Any]:
    """What is known of a training in a fold's folder, with its MLflow run, which is noted in the project's own folder."""
    return {**read_facts(place, name=name), **read_note(name, root=place, notes=Path.cwd())}


def keep_fold(share: Path, *, fold: Fold, settings: str) -> None:
    """Writes foldK_cases.csv, then foldK.json, which makes it count.

    Args:
        share: The folder of the folds.
        fold: The fold.
        settings: Stands for everything that decides the outcome.
    """
    share.mkdir(parents=True, exist_ok=True)
    number = fold.row["fold"]
    note, unfinished = share / f"fold{number}.json", share / f"fold{number}.unfinished"
    note.unlink(missing_ok=True)
    fold.cases.to_csv(share / f"fold{number}_cases.csv", index=False)
    plain = {"settings": settings, "row": fold.row, "made": fold.made}
    unfinished.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(note)


def kept_fold(share: Path, *, number: int, settings: str) -> Fold | None:
    """A finished fold of the same settings and data; None if it is not there.

    Raises:
        UserError: It is there, of other settings or other data.
    """
    note = share / f"fold{number}.json"
    plain = _read(note)
    if not plain:
        return None
    if plain["settings"] != settings:
        raise UserError(
            f"{note}: fold {number} of other settings or other data: expected {settings}, received {plain['settings']}; "
            "give another folder with --share, or remove this file"
        )
    return Fold(plain["row"], plain["made"], _cases(share / f"fold{number}_cases.csv"))


def summarise_folds(folds: Sequence[Fold], *, name: str, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """All folds together.

    Args:
        folds: All of them.
        name: Of the experiment.
        seed: Of the bootstrap.

    Returns:
        All cases with their fold, and the summary: "scores" over all cases as in metrics/E/summary.json, "folds", and how it
        was made.

    Raises:
        UserError: A case is in two folds.
    """
    from brats_cascade.record.join_folds import join_folds

    cases, joined = join_folds([one.row for one in folds], tables=[one.cases for one in folds], name=name, seed=seed)
    return cases, {"experiment": name, **folds[-1].made, **joined}


def _cases(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"case": str, "patient": str})


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
