"""Reads and checks the search space of params.yaml."""

import difflib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from brats_cascade.config import TrainParams
from brats_cascade.errors import UserError
from brats_cascade.sweep.space import Choices, Range, Space, is_multiple


def parse_space(tree: Mapping[str, Any], *, train: TrainParams, where: str = "sweep.space") -> Space:
    """Checks a search space; every value that a trial could get is checked as the same key of `train` is.

    Args:
        tree: As in params.yaml.
        train: What the other keys are while one is checked.
        where: Name of the block, for messages.

    Returns:
        The space.

    Raises:
        UserError: An unknown key (with the nearest known one), a value that `train` refuses, or a block that is neither a
            range nor choices; the message names the key.
    """
    if not isinstance(tree, Mapping):
        raise UserError(f"{where}: expected a mapping of keys of train, received {tree!r}")
    space = {key: _entry(key, value, train=train, where=f"{where}.{key}") for key, value in tree.items()}
    owners: dict[str, str] = {}
    for key, entry in space.items():
        if key in _inner_keys(entry):
            raise UserError(f"{where}.{key}: {key} is also in its own branches; a trial could get two values of it")
        for inner in {key} | _inner_keys(entry):
            if inner in owners:
                raise UserError(
                    f"{where}: {inner} is in both {owners[inner]} and {key}; a trial could get two values of it"
                )
            owners[inner] = key
    return space


def _entry(key: Any, value: Any, *, train: TrainParams, where: str) -> Range | Choices:
    known = list(TrainParams.model_fields)
    if key not in known:
        near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        raise UserError(f"{where}: train has no such key; {hint}")
    if isinstance(value, Mapping) and set(value) == {"choices"}:
        return _choices(key, value["choices"], train=train, where=where)
    if isinstance(value, Mapping) and {"low", "high"} <= set(value) <= {"low", "high", "log", "step"}:
        return _range(key, value, train=train, where=where)
    raise UserError(
        f"{where}: expected {{low, high, log, step}}, of which log and step may be left out, or {{choices}}, received "
        f"{value!r}"
    )


def _choices(key: str, value: Any, *, train: TrainParams, where: str) -> Choices:
    nested = value if isinstance(value, Mapping) else dict.fromkeys(value) if isinstance(value, list) else {}
    if not nested:
        raise UserError(
            f"{where}.choices: expected a list of values or a mapping of values to their keys, received {value!r}"
        )
    branches = []
    for choice, inner in nested.items():
        checked = _checked(key, choice, train=train, where=where)
        branches.append((checked, parse_space(inner or {}, train=train, where=f"{where}.{choice}")))
    return Choices(tuple(branches))


def _range(key: str, value: Mapping[str, Any], *, train: TrainParams, where: str) -> Range:
    kind = TrainParams.model_json_schema()["properties"][key].get("type")
    if kind not in ("integer", "number"):
        raise UserError(f"{where}: {key} is no number; expected {{choices: [...]}}, received {dict(value)!r}")
    for name in ("low", "high", "step"):
        if name in value and (isinstance(value[name], bool) or not isinstance(value[name], int | float)):
            raise UserError(f"{where}.{name}: expected a number, received {value[name]!r}")
    low, high = (_checked(key, value[name], train=train, where=f"{where}.{name}") for name in ("low", "high"))
    log, step = value.get("log", False), value.get("step")
    if not isinstance(log, bool) or (log and step is not None):
        raise UserError(f"{where}: expected log: true or step, not both, received log={log!r}, step={step!r}")
    if not low < high or (log and low <= 0):
        raise UserError(f"{where}: expected low below high{', both above 0' if log else ''}, received {low} and {high}")
    if step is not None and (step <= 0 or not is_multiple(high - low, step) or (kind == "integer" and step % 1)):
        raise UserError(f"{where}.step: expected a step that leads from {low} to {high} exactly, received {step!r}")
    return Range(low, high, log=log, step=step, whole=kind == "integer")


def _checked(key: str, value: Any, *, train: TrainParams, where: str) -> Any:
    """A value as `train` would read it."""
    try:
        return getattr(TrainParams.model_validate({**train.model_dump(), key: value}), key)
    except ValidationError as error:
        raise UserError(f"{where}: {error.errors()[0]['msg']}, received {json.dumps(value, default=repr)}") from None


def _inner_keys(entry: Range | Choices) -> set[str]:
    """Keys inside the branches of an entry."""
    if isinstance(entry, Range):
        return set()
    return {name for _, space in entry.branches for key in space for name in {key} | _inner_keys(space[key])}
