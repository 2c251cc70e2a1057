"""The plan of a sweep: an experiment of params.yaml, the settings fixed for all trials, and the search space."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from brats_cascade.errors import UserError
from brats_cascade.params import ExperimentParams, Params, SweepParams, TrainParams, swept_experiment
from brats_cascade.params.space import Choices, Space, parse_space
from brats_cascade.params.train import apply_overrides
from brats_cascade.project import Project

_MACHINE = {"checkpoint_steps", "devices"}  # settings that do not affect the score


@dataclass(frozen=True)
class Plan:
    """The experiment with `sweep.fixed` applied, the block `sweep` of params.yaml, and its checked space."""

    entry: ExperimentParams
    sweep: SweepParams
    space: Space

    @property
    def prunes(self) -> bool:
        """Whether trials may be ended early; Optuna does not prune with two objectives."""
        return self.sweep.pruner != "none" and self.sweep.second == "none"

    @property
    def objectives(self) -> list[str]:
        """The Dice, and the second objective if there is one."""
        return ["complete"] if self.sweep.second == "none" else ["complete", self.sweep.second]

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """The directions of the objectives."""
        return ["maximize"] if self.sweep.second == "none" else ["maximize", "minimize"]

    def train_with(self, overrides: Mapping[str, Any]) -> TrainParams:
        """The settings of one trial; a UserError for a value that `train` does not accept."""
        return apply_overrides(self.entry.train, overrides, where="trial")

    def identity(self) -> str:
        """The settings that all trials of a study share, as JSON; scores with other settings are not comparable."""
        own = {"second": self.sweep.second, "experiment": self.sweep.experiment}
        own |= {"space": json.dumps(self.sweep.space)}  # in its order, in which Optuna draws
        return json.dumps(own | self.entry.model_dump(exclude={"train": _MACHINE}), sort_keys=True)


def plan_of(params: Params) -> Plan:
    """The plan in params.yaml; a UserError names an invalid key."""
    entry = swept_experiment(params)
    plan = Plan(entry, params.sweep, parse_space(params.sweep.space, train=entry.train))
    searched = set(_keys(plan.space))
    if both := sorted(searched & set(plan.sweep.fixed)):
        raise UserError(f"params.yaml: sweep.fixed.{both[0]}: sweep.space searches {both[0]}, too; remove one of them")
    if plan.prunes and "checks" in searched:
        raise UserError(
            "params.yaml: sweep.space.checks: trials with different numbers of validation rounds cannot be compared during "
            "training; set sweep.pruner to none"
        )
    return plan


def _keys(space: Space) -> Iterator[str]:
    """The keys of a space, including those of branches."""
    for key, entry in space.items():
        yield key
        for _, inner in entry.branches if isinstance(entry, Choices) else ():
            yield from _keys(inner)


@dataclass(frozen=True)
class Orders:
    """The orders for a worker process."""

    study: str  # name of the study
    storage: str  # address, including a password
    plan: Plan
    root: Path  # project folder
    trials: int  # total number of trials, including those of other processes
    deadline: float | None = None  # no trial starts after this time, seconds since the epoch
    parent: str = ""  # the study's MLflow run, "" for none

    @property
    def folder(self) -> Path:
        """The folder for the trials' checkpoints and the workers' logs."""
        return Project(self.root).work / "sweep" / self.study
