"""From an entry of params.yaml `experiments` to a trained network: in the train stage and in the trials of a sweep."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade import MODALITIES, costs, provenance
from brats_cascade.data.preprocess import has_mirrors
from brats_cascade.data.store import open_case
from brats_cascade.errors import UserError
from brats_cascade.models.training_data import SETS, describe_training
from brats_cascade.params import ExperimentParams, Params, TrainParams
from brats_cascade.precision import settled, warn_if_emulated
from brats_cascade.project import Project, damaged, read_json, read_table

if TYPE_CHECKING:
    import pandas as pd

    from brats_cascade.models.files import Contract
    from brats_cascade.training.batches import TrainingCase, TrainingData
    from brats_cascade.training.experiment import Trained
    from brats_cascade.training.fingerprint import Cnn1

PLACE = ("slice", "row", "column")  # of a centre
Facts = dict[str, list[dict[str, Any]]]  # set -> facts of each of its cases, from ingest


def facts_of(project: Project) -> Facts:
    """The facts of the cases of every set, read from the volume store, on which training depends."""
    splits = read_json(project.splits)
    return {name: [open_case(project.volumes / case).meta["facts"] for case in splits[name]] for name in SETS}


def tags_of(project: Project, params: Params, entry: ExperimentParams, *, name: str, facts: Facts) -> dict[str, Any]:
    """The tags of the run of the experiment with this name, for searching."""
    release = "+".join(sorted({str(case["release"]) for cases in facts.values() for case in cases}))
    own = entry.train
    return {
        "experiment": name,
        "architecture": entry.architecture,
        "builds_on": entry.builds_on,
        "normalisation": own.normalisation,
        "class_weights": own.class_weights,
        "procedure": own.phases,
        "release": release,
        "seed": own.seed,
        "fold": params.split.round,
        "git_commit": provenance.git_commit(project.root),
    }


def on_this_device(train: TrainParams) -> TrainParams:
    """Training settings with the precision that this device computes in for "auto"; warns if it emulates bfloat16."""
    warn_if_emulated(train.precision)
    return train.model_copy(update={"precision": settled(train.precision)})


def train_entry(
    project: Project,
    entry: ExperimentParams,
    *,
    data: "TrainingData",
    folder: Path,
    on_check: Callable[[list[dict[str, float]]], None] | None = None,
    devices: Any = None,
) -> "Trained":
    """Trains one entry on `data`, with its checkpoints in `folder`.

    The project contains the model that it builds on and what trainings share: CNN 1's maps and kept trainings of phase 1.
    `on_check` is called with the history after every validation round; `devices` are from `open_devices`, by default one.

    Raises:
        UserError: The model it builds on is missing or was trained on other classes, or the loss is no longer finite.
    """
    from brats_cascade.training.devices import ONE_DEVICE
    from brats_cascade.training.experiment import Experiment, train_experiment

    devices = devices or ONE_DEVICE
    cnn1 = _cnn1_of(project, entry, classes=data.classes, devices=devices)
    experiment = Experiment(entry.architecture, data, entry.train, cnn1)
    return train_experiment(experiment, folder=folder, shared=project.work, on_check=on_check, devices=devices)


def _cnn1_of(project: Project, entry: ExperimentParams, *, classes: tuple[int, ...], devices: Any) -> "Cnn1 | None":
    """The trained CNN 1 that an entry builds on; None where it builds on the patch sets alone."""
    from brats_cascade.models.files import load_trained
    from brats_cascade.training.fingerprint import Cnn1

    if entry.cnn1 is None:
        return None
    source = project.models / entry.cnn1
    with devices.scope():
        network, contract = load_trained(source, precision=entry.train.precision)
    if contract.classes != classes:
        raise UserError(
            f"{source}: expected classes {classes}, received {contract.classes}; train it again on this data"
        )
    style = replace(contract.style, precision=entry.train.precision)
    return Cnn1(network, style, _settings_of(source) if entry.train.cnn1_folds else None)


def _settings_of(source: Path) -> TrainParams:
    """What a model was trained with, as its record says."""
    path = source / costs.RECORD
    known = read_json(path).get("params", {})
    try:
        own = {key.removeprefix("train."): value for key, value in known.items() if key.startswith("train.")}
        return TrainParams.model_validate(own)
    except ValueError as error:
        raise damaged(path, error) from None


def contract_of(
    params: Params, architecture: str, *, trained: "Trained", classes: tuple[int, ...], facts: Facts
) -> "Contract":
    """What the trained network expects and gives, for model.json."""
    from brats_cascade.models.files import Contract

    seen = params.ingest
    return Contract(
        architecture,
        classes,
        MODALITIES,
        seen.clip,
        trained.style,
        trained.cnn1_style,
        n4=seen.n4,
        zscore=seen.zscore,
        axis=seen.axis,
        data=describe_training(facts, source=Path(params.data.source).name),
    )


def open_data(project: Project) -> "TrainingData":
    """Opens the output of the stages `ingest`, `split` and `patches`; voxels are memory-mapped.

    Raises:
        UserError: A file is missing.
    """
    from brats_cascade.training.batches import TrainingData

    splits, summary = read_json(project.splits), read_json(project.patches / "summary.json")
    train, validation = (_open(project, names=splits[name]) for name in ("train", "validation"))
    sets = {name: _centres(project.patches / f"{name}.parquet", cases=train) for name in ("phase1", "phase2")}
    return TrainingData(train, validation, sets, tuple(summary["classes"]))


def _centres(path: Path, *, cases: "Sequence[TrainingCase]") -> "pd.DataFrame":
    """A patch set, every centre of which lies in one of the cases."""
    table = read_table(path, columns=("case", *PLACE, "label"))
    shapes = {case.name: case.brain.shape for case in cases}
    unknown = set(table["case"]) - set(shapes)
    if unknown:
        raise damaged(path, ValueError(f"centres in {min(unknown)}, which is no training case"))
    for name, rows in table.groupby("case")[list(PLACE)]:
        if (rows.to_numpy() < 0).any() or (rows.to_numpy() >= shapes[str(name)]).any():
            raise damaged(path, ValueError(f"centres outside {name}"))
    return table


def _open(project: Project, *, names: list[str]) -> "list[TrainingCase]":
    from brats_cascade.training.batches import TrainingCase

    found = []
    for case in (open_case(project.volumes / name) for name in names):
        if case.labels is None:
            continue
        facts, mirrors = case.meta["facts"], has_mirrors(case.meta.get("axis", "axial"))
        patient, group = facts["patient"], f"{facts['release']} {facts['grade']}"
        found.append(
            TrainingCase(
                case.name, case.image, case.brain, case.labels, None, mirrors, patient, group, tuple(case.meta["spacing"])
            )
        )  # fmt: skip
    return found
