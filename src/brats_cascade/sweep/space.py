"""The search space (params.yaml: sweep.space): which keys of `train` a trial may change, and to what.

    learning_rate: {low: 0.0001, high: 0.005, log: true}   # a range
    batch: {choices: [2, 4, 8]}                            # a list
    optimizer:                                             # branches: keys that only count with one of the values
      choices:
        adam: {}
        sgd: {momentum: {low: 0.5, high: 0.99}}

A key inside a branch is called `optimizer.sgd.momentum` in Optuna, so that branches never share a distribution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from brats_cascade.config import TrainParams

Value = bool | int | float | str


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: Least value.
        high: Largest value.
        log: Evenly over the logarithm.
        step: Distance of neighbouring values; None for all of them (1 for whole numbers).
        whole: Whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def holds(self, value: Any) -> bool:
        """Says whether a value is one of these."""
        if not self.low <= value <= self.high:
            return False
        return self.step is None or is_multiple(value - self.low, self.step)


@dataclass(frozen=True)
class Choices:
    """Named values, each with the keys that count only with it."""

    branches: tuple[tuple[Value, "Space"], ...]

    def branch(self, value: Value) -> "Space | None":
        """The keys that count with a value; None for a value that is none of these."""
        return next((space for known, space in self.branches if known == value), None)


Space = Mapping[str, Range | Choices]


class Trial(Protocol):
    """What is used of an Optuna trial."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float: ...  # noqa: D102
    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int: ...  # noqa: D102
    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...  # noqa: D102


def suggest(trial: Trial, space: Space, *, prefix: str = "") -> dict[str, Value]:
    """Asks Optuna for the values of one trial.

    Args:
        trial: An Optuna trial.
        space: From `parse_space`.
        prefix: Of Optuna's names, in a branch.

    Returns:
        Key of `train` -> value; of the branches only those taken.
    """
    found: dict[str, Value] = {}
    for key, entry in space.items():
        name = prefix + key
        if isinstance(entry, Choices):
            value = trial.suggest_categorical(name, [known for known, _ in entry.branches])
            found |= {key: value} | suggest(trial, entry.branch(value) or {}, prefix=f"{name}.{value}.")
        elif entry.whole:
            step = int(entry.step or 1)
            found[key] = trial.suggest_int(name, int(entry.low), int(entry.high), step=step, log=entry.log)
        else:
            found[key] = trial.suggest_float(name, entry.low, entry.high, step=entry.step, log=entry.log)
    return found


def point_of(space: Space, *, train: TrainParams, prefix: str = "") -> dict[str, Value] | None:
    """Optuna's parameters that stand for given settings, or None if they lie outside the space."""
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


def is_multiple(distance: float, step: float) -> bool:
    """Says whether a number of steps covers a distance, but for rounding."""
    return abs(distance / step - round(distance / step)) < 1e-9
