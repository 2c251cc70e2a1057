"""What trials train on and are scored on: training and validation cases, never a test patient."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from brats_cascade.training.batches import TrainingCase


@dataclass(frozen=True)
class Material:
    """What trials train on and are scored on; voxels are memory-mapped, so that workers share them.

    Attributes:
        train: The training cases.
        validation: The validation cases.
        patients: Validation case -> patient.
        patch_sets: "phase1" and "phase2".
        classes: Canonical label of each class.
    """

    train: "list[TrainingCase]"
    validation: "list[TrainingCase]"
    patients: Mapping[str, str]
    patch_sets: "Mapping[str, pd.DataFrame]"
    classes: tuple[int, ...]


def open_material(root: Path) -> Material:
    """Opens what the stages `ingest`, `split` and `patches` have left.

    Args:
        root: The project's folder.

    Returns:
        The material.

    Raises:
        UserError: A file is missing, there is no validation patient, or a test patient is among the others.
    """
    import pandas as pd

    from brats_cascade.data.recipe import has_mirrors
    from brats_cascade.data.store import open_case
    from brats_cascade.training.batches import TrainingCase

    data = root / "data"
    try:
        splits = json.loads((data / "splits.json").read_text(encoding="utf-8"))
        classes = json.loads((data / "patches" / "summary.json").read_text(encoding="utf-8"))["classes"]
        patch_sets = {name: pd.read_parquet(data / "patches" / f"{name}.parquet") for name in ("phase1", "phase2")}
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: not found; run `dvc repro patches` first, in the project's root") from None
    stored = {
        name: [
            case for case in (open_case(data / "volumes" / case) for case in splits[name]) if case.labels is not None
        ]
        for name in ("train", "validation")
    }
    patients = {case.name: str(case.meta.get("patient", case.name)) for cases in stored.values() for case in cases}
    refuse_test(splits, patients=patients, patch_sets=patch_sets)
    if not stored["validation"]:
        raise UserError(f"{data / 'splits.json'}: no validation case with a truth, so nothing to score a trial on")
    opened = {
        name: [
            TrainingCase(
                case.name, case.image, case.brain, case.labels, mirrors=has_mirrors(case.meta.get("axis", "axial"))
            )
            for case in cases
            if case.labels is not None
        ]
        for name, cases in stored.items()
    }
    return Material(
        opened["train"],
        opened["validation"],
        {case.name: patients[case.name] for case in opened["validation"]},
        patch_sets,
        tuple(classes),
    )


def refuse_missing(root: Path, *, cnn1: str | None) -> None:
    """Looks for the files of the stages before, which takes no time, before processes are started.

    Args:
        root: The project's folder.
        cnn1: The experiment whose TwoPathCNN is CNN 1, or None.

    Raises:
        UserError: Names the file that is missing and the command that makes it.
    """
    needed = {root / "data" / name: "patches" for name in ("splits.json", "volumes", "patches/summary.json")}
    if cnn1 is not None:
        needed[root / "models" / cnn1 / "model.json"] = f"train@{cnn1}"
    for path, stage in needed.items():
        if not path.exists():
            raise UserError(f"{path}: not found; run `dvc repro {stage}` first, in the project's root")


def refuse_test(
    splits: Mapping[str, Any], *, patients: Mapping[str, str], patch_sets: "Mapping[str, pd.DataFrame]"
) -> None:
    """Makes sure that no trial sees a test patient: a score chosen on them would be no test any more.

    Args:
        splits: data/splits.json.
        patients: Case in use -> patient.
        patch_sets: Tables with a column `case`.

    Raises:
        UserError: Names the cases.
    """
    test, held = set(splits.get("test", [])), set(splits.get("patients", {}).get("test", []))
    used = {case for case, patient in patients.items() if case in test or patient in held}
    used |= {str(case) for table in patch_sets.values() for case in table["case"].unique() if case in test}
    if used:
        raise UserError(
            f"data/splits.json: {', '.join(sorted(used))} of test patients are among the training or validation data; "
            "run `dvc repro patches` so that the sets fit the split"
        )


def mean_over_patients(scores: Mapping[str, float], *, patients: Mapping[str, str]) -> float:
    """Mean over patients of the mean over each patient's cases."""
    by_patient: dict[str, list[float]] = {}
    for case, score in scores.items():
        by_patient.setdefault(patients[case], []).append(score)
    return sum(sum(values) / len(values) for values in by_patient.values()) / len(by_patient)
