"""Reads and checks params.yaml; an error is one line with the nearest known name."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from brats_cascade.errors import UserError
from brats_cascade.params.blocks import ExperimentParams, Params
from brats_cascade.params.file import read_tree
from brats_cascade.params.names import check_experiment_names
from brats_cascade.params.space import parse_space
from brats_cascade.params.train import TrainParams, apply_overrides, nearest, problem_of


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Reads and checks params.yaml; every experiment gets the `train` defaults with its own overrides applied.

    Raises:
        UserError: The file is missing or not YAML, the name of an experiment is not allowed, or a key is unknown, missing or
            has an invalid value. The message names the key, and for an unknown one the nearest known name.
    """
    tree = read_tree(path)
    check_experiment_names(tree.get("experiments"), path=path)
    tree["experiments"] = {
        name: _with_defaults(entry, defaults=tree.get("train")) for name, entry in tree["experiments"].items()
    }
    try:
        params = Params.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{path}: {_explain(error)}") from None
    _check_experiments(params.experiments, path=path)
    _check_sweep(params, path=path)
    return params


def _with_defaults(entry: Any, *, defaults: Any) -> Any:
    """Splits an experiment into its own keys and its overrides of `train`, and fills in the defaults."""
    if not isinstance(defaults, dict):
        return entry
    own = {key: value for key, value in entry.items() if key in ExperimentParams.model_fields}
    return {**own, "train": {**defaults, **{key: value for key, value in entry.items() if key not in own}}}


def _check_experiments(experiments: dict[str, ExperimentParams], *, path: Path) -> None:
    for name, entry in experiments.items():
        where = f"{path}: experiments.{name}.builds_on"
        if entry.architecture == "coarse_cascade":
            _check_coarse(entry, where=f"{path}: experiments.{name}")
        elif entry.train.axes == "all" and entry.architecture not in ("two_path", "unet"):
            raise UserError(
                f"{path}: experiments.{name}.axes: {entry.architecture} can only be used along one axis; expected 'one', "
                "got 'all'"
            )
        if entry.builds_on == "data/patches":
            continue
        if entry.cnn1 is None:
            raise UserError(f"{where}: expected data/patches or models/NAME, found {entry.builds_on!r}")
        if entry.cnn1 not in experiments or experiments[entry.cnn1].architecture != "two_path":
            known = [key for key, other in experiments.items() if other.architecture == "two_path"]
            raise UserError(
                f"{where}: expected models/NAME of a two_path experiment, one of {known}, found {entry.builds_on!r}"
            )
        if entry.architecture in ("two_path", "unet"):
            raise UserError(f"{where}: {entry.architecture} has no CNN 1; set it to data/patches")


def _check_coarse(entry: ExperimentParams, *, where: str) -> None:
    """Refuses settings that the coarse cascade does not support."""
    needed = {"sampler": "tiles", "cascade": "frozen", "cnn1_output": "probabilities"}
    for key, value in needed.items():
        if getattr(entry.train, key) != value:
            raise UserError(f"{where}.{key}: coarse_cascade needs {value!r}, found {getattr(entry.train, key)!r}")
    if entry.builds_on != "data/patches":
        raise UserError(
            f"{where}.builds_on: coarse_cascade trains its own CNN 1; expected data/patches, found {entry.builds_on!r}"
        )


def _check_sweep(params: Params, *, path: Path) -> None:
    if "sweep" not in params.model_fields_set:
        return
    try:
        parse_space(params.sweep.space, train=swept_experiment(params).train)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def swept_experiment(params: Params) -> ExperimentParams:
    """The experiment that a sweep varies, with `sweep.fixed` applied; a UserError names an invalid key."""
    sweep = params.sweep
    if sweep.experiment not in params.experiments:
        raise UserError(f"sweep.experiment: no experiment {sweep.experiment!r}; known: {', '.join(params.experiments)}")
    entry = params.experiments[sweep.experiment]
    return entry.model_copy(update={"train": apply_overrides(entry.train, sweep.fixed, where="sweep.fixed")})


def _explain(error: ValidationError) -> str:
    """One error in params.yaml, on one line: an unknown key, which may be a missing one misspelt, or the first error."""
    errors = error.errors()
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    keys = [str(part) for part in first["loc"]]
    where = ".".join(keys)
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}; {nearest(keys[-1], _known_keys(keys[:-1]))}"
    if first["type"] == "missing":
        return f"key {where!r} is missing; see docs/params.md"
    return f"{where}: {problem_of(first)}"


def _known_keys(parents: list[str]) -> list[str]:
    """The known keys of the block at this place; an experiment also accepts those of `train`."""
    if not parents:
        return list(Params.model_fields)
    if parents[0] == "experiments":
        own = [key for key in ExperimentParams.model_fields if key != "train"]
        return [*own, *TrainParams.model_fields]
    block = Params.model_fields[parents[0]].annotation
    return list(block.model_fields) if isinstance(block, type) and issubclass(block, BaseModel) else []
