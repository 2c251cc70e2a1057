"""What a sweep searches: an experiment of params.yaml, what is fixed for all its trials, and the space."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from brats_cascade.params import ExperimentParams, Params, SweepParams, TrainParams, swept_experiment
from brats_cascade.params.space import Space, parse_space
from brats_cascade.params.train import apply_overrides

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Plan:
    """What a sweep searches.

    Attributes:
        entry: The experiment, with `sweep.fixed` applied.
        sweep: The block `sweep` of params.yaml.
        space: `sweep.space`, checked.
    """

    entry: ExperimentParams
    sweep: SweepParams
    space: Space

    @property
    def directions(self) -> "list[Direction]":
        """Of the objectives: the Dice, then the second one."""
        return ["maximize"] if self.sweep.second == "none" else ["maximize", "minimize"]

    @property
    def objectives(self) -> list[str]:
        """Names of the objectives."""
        return ["complete"] if self.sweep.second == "none" else ["complete", self.sweep.second]

    def train_with(self, overrides: Mapping[str, Any]) -> TrainParams:
        """The settings of one trial.

        Raises:
            UserError: A value that `train` refuses.
        """
        return apply_overrides(self.entry.train, overrides, where="trial")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"entry": self.entry.model_dump(), "sweep": self.sweep.model_dump()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Plan":
        """The inverse of `as_dict`."""
        entry, sweep = ExperimentParams.model_validate(values["entry"]), SweepParams.model_validate(values["sweep"])
        return cls(entry, sweep, parse_space(sweep.space, train=entry.train))

    def identity(self) -> str:
        """What trials of one study must have in common, as JSON: other settings make scores that do not compare."""
        train = {key: value for key, value in self.entry.train.model_dump().items() if key not in _MACHINE}
        own = {"second": self.sweep.second, "space": self.sweep.space, "experiment": self.sweep.experiment}
        return json.dumps({**own, "train": train, "builds_on": self.entry.builds_on}, sort_keys=True)


_MACHINE = ("checkpoint_steps", "devices")  # of no consequence for the score


def plan_of(params: Params) -> Plan:
    """Reads the plan from params.yaml.

    Args:
        params: All parameters.

    Returns:
        The plan.

    Raises:
        UserError: An unknown experiment or key, or a value that `train` refuses; names the key.
    """
    entry = swept_experiment(params)
    return Plan(entry, params.sweep, parse_space(params.sweep.space, train=entry.train))
