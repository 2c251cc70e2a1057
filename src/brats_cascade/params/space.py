"""The search space (params.yaml: sweep.space): the keys of `train` that a trial may change, and their values.

    learning_rate: {low: 0.0001, high: 0.005, log: true}   # a range
    batch: {choices: [2, 4, 8]}                            # a list
    optimizer:                                             # branches: keys that apply only to one of the values
      choices:
        adam: {}
        sgd: {momentum: {low: 0.5, high: 0.99}}

In Optuna a key inside a branch is called `optimizer.sgd.momentum`, so that branches never share a distribution.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from brats_cascade.errors import UserError
from brats_cascade.params.train import TrainParams, nearest, problem_of

if TYPE_CHECKING:
    from optuna import Trial

Value = bool | int | float | str


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False  # uniform in the logarithm
    step: float | None = None  # distance between neighbouring values; None: no grid (1 for integers)
    whole: bool = False  # integers only

    def holds(self, value: Any) -> bool:
        """Whether a value is in the range."""
        if not self.low <= value <= self.high:
            return False
        return self.step is None or _is_multiple(value - self.low, self.step)


@dataclass(frozen=True)
class Choices:
    """Named values, each with the keys that apply only to it."""

    branches: tuple[tuple[Value, "Space"], ...]

    def branch(self, value: Value) -> "Space | None":
        """The keys that apply to a value; None if the value is not a choice."""
        return next((space for known, space in self.branches if known == value), None)


Space = Mapping[str, Range | Choices]


def parse_space(tree: Mapping[str, Any], *, train: TrainParams, where: str = "sweep.space") -> Space:
    """Checks a search space; every value that a trial could get is checked like the same key of `train`.

    Raises:
        UserError: A key is unknown (the message gives the nearest known one), `train` does not accept a value, or a block is
            neither a range nor choices. The message names the key.
    """
    if not isinstance(tree, Mapping):
        raise UserError(f"{where}: expected a mapping of keys of train, found {tree!r}")
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


def suggest(trial: "Trial", space: Space, *, prefix: str = "") -> dict[str, Value]:
    """Asks Optuna for the values of one trial: key of `train` -> value, including the keys of the chosen branches."""
    found: dict[str, Value] = {}
    for key, entry in space.items():
        name = prefix + key
        if isinstance(entry, Choices):
            value: Any = trial.suggest_categorical(name, [known for known, _ in entry.branches])
            found |= {key: value} | suggest(trial, entry.branch(value) or {}, prefix=f"{name}.{value}.")
        elif entry.whole:
            step = int(entry.step or 1)
            found[key] = trial.suggest_int(name, int(entry.low), int(entry.high), step=step, log=entry.log)
        else:
            found[key] = trial.suggest_float(name, entry.low, entry.high, step=entry.step, log=entry.log)
    return found


def point_of(space: Space, *, train: TrainParams, prefix: str = "") -> dict[str, Value] | None:
    """Optuna's parameters for given settings, or None if they are outside the space."""
    values: dict[str, Value] = {}
    for key, entry in space.items():
        value = getattr(train, key)
        if isinstance(entry, Range):
            if not entry.holds(value):
                return None
            values[prefix + key] = value
            continue
        branch = entry.branch(value)
        inner = None if branch is None else point_of(branch, train=train, prefix=f"{prefix}{key}.{value}.")
        if inner is None:
            return None
        values |= {prefix + key: value} | inner
    return values


def overrides_of(params: Mapping[str, Any]) -> dict[str, Value]:
    """Keys of `train` from Optuna's parameters."""
    return {name.rpartition(".")[2]: value for name, value in params.items()}


def _entry(key: Any, value: Any, *, train: TrainParams, where: str) -> Range | Choices:
    if key not in TrainParams.model_fields:
        raise UserError(f"{where}: train has no such key; {nearest(key, TrainParams.model_fields)}")
    if isinstance(value, Mapping) and set(value) == {"choices"}:
        return _choices(key, value["choices"], train=train, where=where)
    if isinstance(value, Mapping) and {"low", "high"} <= set(value) <= {"low", "high", "log", "step"}:
        return _range(key, value, train=train, where=where)
    raise UserError(
        f"{where}: expected {{low, high, log, step}}, of which log and step may be left out, or {{choices}}, found "
        f"{value!r}"
    )


def _choices(key: str, value: Any, *, train: TrainParams, where: str) -> Choices:
    nested = value if isinstance(value, Mapping) else dict.fromkeys(value) if isinstance(value, list) else {}
    if not nested:
        raise UserError(
            f"{where}.choices: expected a list of values or a mapping of values to their keys, found {value!r}"
        )
    branches = []
    for choice, inner in nested.items():
        checked = _checked(key, choice, train=train, where=where)
        branches.append((checked, parse_space(inner or {}, train=train, where=f"{where}.{choice}")))
    return Choices(tuple(branches))


def _range(key: str, value: Mapping[str, Any], *, train: TrainParams, where: str) -> Range:
    kind = TrainParams.model_json_schema()["properties"][key].get("type")
    if kind not in ("integer", "number"):
        raise UserError(f"{where}: {key} is no number; expected {{choices: [...]}}, found {dict(value)!r}")
    for name in ("low", "high", "step"):
        if name in value and (isinstance(value[name], bool) or not isinstance(value[name], int | float)):
            raise UserError(f"{where}.{name}: expected a number, found {value[name]!r}")
    low, high = (_checked(key, value[name], train=train, where=f"{where}.{name}") for name in ("low", "high"))
    log, step = value.get("log", False), value.get("step")
    if not isinstance(log, bool) or (log and step is not None):
        raise UserError(f"{where}: expected log: true or step, not both, found log={log!r}, step={step!r}")
    if not low < high or (log and low <= 0):
        raise UserError(f"{where}: expected low below high{', both above 0' if log else ''}, found {low} and {high}")
    if step is not None and (step <= 0 or not _is_multiple(high - low, step) or (kind == "integer" and step % 1)):
        raise UserError(f"{where}.step: expected a step that leads from {low} to {high} exactly, found {step!r}")
    return Range(low, high, log=log, step=step, whole=kind == "integer")


def _checked(key: str, value: Any, *, train: TrainParams, where: str) -> Any:
    """A value as `train` would read it."""
    try:
        return getattr(TrainParams.model_validate({**train.model_dump(), key: value}), key)
    except ValidationError as error:
        raise UserError(f"{where}: {problem_of(error.errors()[0])}") from None


def _inner_keys(entry: Range | Choices) -> set[str]:
    """The keys inside the branches of an entry."""
    if isinstance(entry, Range):
        return set()
    return {name for _, space in entry.branches for key in space for name in {key} | _inner_keys(space[key])}


def _is_multiple(distance: float, step: float) -> bool:
    """Whether a whole number of steps covers a distance, up to rounding."""
    return abs(distance / step - round(distance / step)) < 1e-9
