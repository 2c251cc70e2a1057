"""The data of trials: training and validation cases, never a test patient."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from brats_cascade.errors import UserError
from brats_cascade.project import Project, read_json
from brats_cascade.stages.train_entry import open_data

if TYPE_CHECKING:
    from brats_cascade.training.batches import TrainingCase, TrainingData


def open_material(root: Path) -> "TrainingData":
    """Opens the output of the stages `ingest`, `split` and `patches`; workers share the memory-mapped voxels.

    Raises:
        UserError: A file is missing, there is no validation patient, or a test patient is among the others.
    """
    project = Project(root)
    data = open_data(project)
    if not data.validation:
        raise UserError(f"{project.splits}: no validation case has a ground truth, so trials cannot be scored")
    refuse_test(read_json(project.splits), cases=[*data.train, *data.validation])
    return data


def refuse_missing(root: Path, *, cnn1: str | None) -> None:
    """Checks, before processes are started, that the files of earlier stages exist, and that CNN 1 belongs to the split.

    Raises:
        UserError: A file is missing, or CNN 1 was trained on patients that are in the validation or test set.
    """
    needed = {root / "data" / name: "patches" for name in ("splits.json", "volumes", "patches/summary.json")}
    if cnn1 is not None:
        needed[root / "models" / cnn1 / "model.json"] = f"train@{cnn1}"
    for path, stage in needed.items():
        if not path.exists():
            raise UserError(f"{path}: not found; run `dvc repro {stage}` first, in the project's root")
    if cnn1 is None:
        return
    splits, folder = read_json(root / "data/splits.json"), root / "models" / cnn1
    known = (read_json(folder / "model.json").get("data") or {}).get("cases", [])  # older models do not tell
    seen = [SimpleNamespace(name=case["case"], patient=case["patient"], set=case["set"]) for case in known]
    if used := [
        *_held(splits, part="test", cases=seen),
        *_held(splits, part="validation", cases=[case for case in seen if case.set == "train"]),
    ]:
        raise UserError(
            f"{folder}: was trained on {used[0]}, a patient that this split holds out; run `dvc repro train@{cnn1}` first"
        )


def refuse_test(splits: Mapping[str, Any], *, cases: "Iterable[TrainingCase]") -> None:
    """Makes sure that no trial uses a test patient of data/splits.json, because test scores would then be biased."""
    if used := _held(splits, part="test", cases=cases):
        raise UserError(
            f"data/splits.json: cases of test patients are among the training or validation data: {', '.join(used)}; "
            "run `dvc repro patches` so that the sets match the split"
        )


def _held(splits: Mapping[str, Any], *, part: str, cases: Iterable[Any]) -> list[str]:
    """The names of those cases that are in a set of data/splits.json, or whose patient is."""
    names, patients = set(splits.get(part, [])), set(splits.get("patients", {}).get(part, []))
    return sorted(case.name for case in cases if case.name in names or case.patient in patients)
