"""What trials train on and are scored on: training and validation cases, never a test patient."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade.errors import UserError
from brats_cascade.project import Project, read_json
from brats_cascade.stages.train_entry import open_data

if TYPE_CHECKING:
    import pandas as pd

    from brats_cascade.training.batches import TrainingData


@dataclass(frozen=True)
class Material:
    """What trials train on and are scored on; voxels are memory-mapped, so that workers share them.

    Attributes:
        data: As the train stage opens them.
        patients: Validation case -> patient.
    """

    data: "TrainingData"
    patients: Mapping[str, str]

    def mean_over_patients(self, scores: Mapping[str, float]) -> float:
        """Mean over patients of the mean over each patient's cases, from a score per validation case."""
        of_patient: dict[str, list[float]] = {}
        for case, score in scores.items():
            of_patient.setdefault(self.patients[case], []).append(score)
        return sum(sum(values) / len(values) for values in of_patient.values()) / len(of_patient)


def open_material(root: Path) -> Material:
    """Opens what the stages `ingest`, `split` and `patches` have left in a project's folder.

    Raises:
        UserError: A file is missing, there is no validation patient, or a test patient is among the others.
    """
    from brats_cascade.data.store import open_case

    project = Project(root)
    data = open_data(project)
    if not data.validation:
        raise UserError(f"{project.splits}: no validation case with a truth, so nothing to score a trial on")
    cases = [case.name for part in (data.train, data.validation) for case in part]
    patients = {name: str(open_case(project.volumes / name).meta.get("patient", name)) for name in cases}
    splits = read_json(project.splits)
    refuse_test(splits, patients=patients, patch_sets=data.patch_sets)
    return Material(data, {case.name: patients[case.name] for case in data.validation})


def refuse_missing(root: Path, *, cnn1: str | None) -> None:
    """Looks for the files of the stages before, which takes no time, before processes are started; a UserError names one."""
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
    """
    test, held = set(splits.get("test", [])), set(splits.get("patients", {}).get("test", []))
    used = {case for case, patient in patients.items() if case in test or patient in held}
    used |= {str(case) for table in patch_sets.values() for case in table["case"].unique() if case in test}
    if used:
        raise UserError(
            f"data/splits.json: {', '.join(sorted(used))} of test patients are among the training or validation data; "
            "run `dvc repro patches` so that the sets fit the split"
        )
