"""From an entry of params.yaml `experiments` to a trained network: in the train stage and in the trials of a sweep."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from brats_cascade import MODALITIES, provenance
from brats_cascade.errors import UserError
from brats_cascade.params import ExperimentParams, Params, TrainParams
from brats_cascade.project import Project


def tags_of(project: Project, params: Params, entry: ExperimentParams, *, name: str) -> dict[str, Any]:
    """What a run is searched by."""
    facts = _facts(project, splits=json.loads(project.splits.read_text(encoding="utf-8")))
    release = "+".join(sorted({str(case["release"]) for cases in facts.values() for case in cases}))
    own = entry.train
    procedure = own.procedure if own.procedure == "single" or own.phase2_steps else "one_phase"
    return {
        "experiment": name,
        "architecture": entry.architecture,
        "builds_on": entry.builds_on,
        "normalisation": own.normalisation,
        "class_weights": own.class_weights,
        "procedure": procedure,
        "release": release,
        "seed": own.seed,
        "fold": f"{params.split.fold} of {params.split.folds}" if params.split.folds else "none",
        "git_commit": provenance.git_commit(project.root),
    }


def train_entry(
    project: Project,
    params: Params,
    entry: ExperimentParams,
    *,
    folder: Path,
    on_check: Callable[[list[dict[str, float]]], None] | None = None,
    devices: Any = None,
) -> tuple[Any, Any]:
    """Trains one entry.

    Args:
        project: Where the data lie, the model that it builds on, and what trainings share: CNN 1's maps, finished phases 1.
        params: All parameters.
        entry: The entry.
        folder: For its checkpoints.
        on_check: Called with the history after every validation round.
        devices: From `open_devices`; one device by default.

    Returns:
        `Trained` and `Contract`.

    Raises:
        UserError: The model it builds on was trained on other classes, or a file is missing.
    """
    import pandas as pd

    from brats_cascade.models.cascade import CASCADES
    from brats_cascade.models.files import Contract, load_trained
    from brats_cascade.models.training_data import describe_training
    from brats_cascade.training.devices import ONE_DEVICE
    from brats_cascade.training.experiment import train_experiment

    splits = json.loads(project.splits.read_text(encoding="utf-8"))
    classes = tuple(json.loads((project.patches / "summary.json").read_text(encoding="utf-8"))["classes"])
    devices = devices or ONE_DEVICE
    first = first_contract = None
    if entry.cnn1 is not None:
        with devices.scope():
            first, first_contract = load_trained(project.models / entry.cnn1, precision=entry.train.precision)
        if first_contract.classes != classes:
            raise UserError(
                f"{project.models / entry.cnn1}: expected classes {classes}, received {first_contract.classes}; train it again "
                "on this data"
            )
    style = style_of(entry.train)
    facts = _facts(project, splits=splits)
    trained = train_experiment(
        entry.architecture,
        train=_open(project, names=splits["train"]),
        validation=_open(project, names=splits["validation"]),
        patch_sets={name: pd.read_parquet(project.patches / f"{name}.parquet") for name in ("phase1", "phase2")},
        classes=classes,
        style=style,
        recipe=recipe_of(entry.train),
        first=first,
        first_style=None if first_contract is None else replace(first_contract.style, precision=entry.train.precision),
        folder=folder,
        shared=project.work,
        on_check=on_check,
        devices=devices,
    )
    if first_contract is None and entry.architecture in CASCADES:
        first_style = style
    else:
        first_style = None if first_contract is None else first_contract.style
    seen = params.ingest
    return trained, Contract(
        entry.architecture,
        classes,
        MODALITIES,
        seen.clip,
        style,
        first_style,
        n4=seen.n4,
        zscore=seen.zscore,
        axis=seen.axis,
        data=describe_training(facts, source=Path(params.data.source).name),
    )


def style_of(train: TrainParams) -> Any:
    """The network's part of `train`."""
    from brats_cascade.models.two_path import Style

    return Style(**_shared(Style, train=train))


def recipe_of(train: TrainParams) -> Any:
    """The training's part of `train`."""
    from brats_cascade.training.descent import Descent
    from brats_cascade.training.recipe import Recipe

    descent = Descent(**_shared(Descent, train=train))
    return Recipe(descent=descent, start_bias=train.start == "paper", **_shared(Recipe, train=train))


def _shared(kind: Any, *, train: TrainParams) -> dict[str, Any]:
    """The keys of `train` that a dataclass has, too."""
    return train.model_dump(include={field.name for field in fields(kind)} & set(TrainParams.model_fields))


def _facts(project: Project, *, splits: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What ingest found of the cases of every set, from the volumes, on which training depends."""
    from brats_cascade.data.store import open_case
    from brats_cascade.models.training_data import SETS

    return {name: [open_case(project.volumes / case).meta["facts"] for case in splits[name]] for name in SETS}


def _open(project: Project, *, names: list[str]) -> list[Any]:
    from brats_cascade.data.recipe import has_mirrors
    from brats_cascade.data.store import open_case
    from brats_cascade.training.batches import TrainingCase

    cases = [open_case(project.volumes / name) for name in names]
    return [
        TrainingCase(
            case.name, case.image, case.brain, case.labels, mirrors=has_mirrors(case.meta.get("axis", "axial"))
        )
        for case in cases
        if case.labels is not None
    ]
