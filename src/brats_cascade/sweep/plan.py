"""What a sweep searches: an experiment of params.yaml, what is fixed for all its trials, and the space."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from brats_cascade.params import ExperimentParams, Params, SweepParams, TrainParams, swept_experiment
from brats_cascade.params.space import Space, parse_space
from brats_cascade.params.train import apply_overrides
from brats_cascade.project import Project

_MACHINE = ("checkpoint_steps", "devices")  # settings of no consequence for the score


@dataclass(frozen=True)
class Plan:
    """The experiment with `sweep.fixed` applied, the block `sweep` of params.yaml, and its checked space."""

    entry: ExperimentParams
    sweep: SweepParams
    space: Space

    @property
    def objectives(self) -> list[str]:
        """The Dice, and what else is wanted of a trial."""
        return ["complete"] if self.sweep.second == "none" else ["complete", self.sweep.second]

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """Of the objectives."""
        return ["maximize"] if self.sweep.second == "none" else ["maximize", "minimize"]

    def train_with(self, overrides: Mapping[str, Any]) -> TrainParams:
        """The settings of one trial; a UserError for a value that `train` refuses."""
        return apply_overrides(self.entry.train, overrides, where="trial")

    def identity(self) -> str:
        """What trials of one study must have in common, as JSON: other settings make scores that do not compare."""
        train = {key: value for key, value in self.entry.train.model_dump().items() if key not in _MACHINE}
        own = {"second": self.sweep.second, "space": self.sweep.space, "experiment": self.sweep.experiment}
        return json.dumps({**own, "train": train, "builds_on": self.entry.builds_on}, sort_keys=True)


def plan_of(params: Params) -> Plan:
    """The plan in params.yaml; a UserError names the key that is wrong."""
    entry = swept_experiment(params)
    return Plan(entry, params.sweep, parse_space(params.sweep.space, train=entry.train))


@dataclass(frozen=True)
class Orders:
    """What a worker process is told."""

    study: str  # name
    storage: str  # address, with the password if there is one
    plan: Plan
    root: Path  # the project's folder
    trials: int  # how many the study should have in all, those of other processes included
    deadline: float | None = None  # epoch seconds after which none begins
    parent: str = ""  # MLflow's run of the study, "" for none

    @property
    def folder(self) -> Path:
        """For the checkpoints of the trials and the logs of the workers."""
        return Project(self.root).work / "sweep" / self.study
