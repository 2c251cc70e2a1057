"""What Optuna calls for every trial: settings, training, pruning, bookkeeping; a failure is recorded with its reason."""

import logging
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade import provenance, tracking
from brats_cascade.errors import UserError
from brats_cascade.params import TrainParams
from brats_cascade.params.space import suggest
from brats_cascade.project import Project
from brats_cascade.stages.train_entry import train_entry
from brats_cascade.sweep import records
from brats_cascade.sweep.material import Material
from brats_cascade.sweep.plan import Orders, Plan
from brats_cascade.sweep.trials import host_name
from brats_cascade.tracking.system import watching

if TYPE_CHECKING:
    from optuna import Trial

log = logging.getLogger(__name__)
EVERY_SLICE = 10**6
OnCheck = Callable[[list[dict[str, float]]], None]


@dataclass(frozen=True)
class Outcome:
    """What a finished training is judged by.

    Attributes:
        complete: Mean complete Dice over the validation patients, each on all slices of all their cases.
        cases: Validation case -> complete Dice.
        seconds: Time in training.
        parameters: Of the network, CNN 1 included.
        pixels: Labelled pixels seen, those of CNN 1s trained within included.
    """

    complete: float
    cases: dict[str, float]
    seconds: float
    parameters: int
    pixels: int


def train_trial(
    plan: Plan, train: TrainParams, *, material: Material, root: Path, folder: Path, on_check: OnCheck
) -> Outcome:
    """Trains with the settings of one trial and scores the result.

    Args:
        plan: The experiment.
        train: The settings.
        material: What to train on.
        root: The project's folder.
        folder: Of the checkpoints; a training that was killed goes on from there.
        on_check: Called with the history after every validation round; may raise to end the training.

    Raises:
        UserError: The loss is no longer finite, or the CNN 1 that the experiment builds on is missing or does not fit.
    """
    from brats_cascade.models.cascade import GEOMETRY
    from brats_cascade.training.validation import validation_scores

    entry, data = plan.entry.model_copy(update={"train": train}), material.data
    trained = train_entry(Project(root), entry, data=data, folder=folder, on_check=on_check)
    geometry = GEOMETRY[entry.architecture]
    cases = {
        case.name: validation_scores(
            trained.network, cases=[case], classes=data.classes, geometry=geometry, slices=EVERY_SLICE
        )["complete"]
        for case in data.validation
    }
    parameters = trained.network.count_params()
    return Outcome(material.mean_over_patients(cases), cases, trained.seconds, parameters, trained.pixels)


class TrialFailed(Exception):  # noqa: N818
    """A trial that cannot be scored; its reason is in the study, and the study goes on."""


@dataclass
class Objective:
    """Runs one trial after another in one process.

    Attributes:
        orders: The study, and where it is run.
        material: What to train on.
        train: The training; another one in tests and benchmarks.
        begun: Called once a trial's number is known.
        failures: Trials that failed in a row, and why the last one did.
    """

    orders: Orders
    material: Material
    train: Callable[..., Outcome] = train_trial
    begun: Callable[[], None] = lambda: None
    failures: list[str] = field(default_factory=list)

    def __call__(self, trial: "Trial") -> float | tuple[float, ...]:
        """One trial: its score, or with two objectives both.

        Raises:
            TrialFailed: It cannot be scored.
            optuna.TrialPruned: It fell behind.
        """
        import optuna

        self.begun()
        stored = trial.study.get_trials(deepcopy=False)[trial.number]
        folder = self.orders.folder / f"{stored.system_attrs.get('failed_trial', trial.number):04d}"  # of the first try
        for key, value in {"host": host_name(), "pid": os.getpid()}.items():
            trial.set_user_attr(key, value)
        try:
            outcome = self._tracked(trial, folder=folder)
        except optuna.exceptions.UpdateFinishedTrialError:
            raise  # another worker gave this one up; its copy goes on from the checkpoint
        except optuna.TrialPruned:
            self._over(folder)
            raise
        except Exception as error:
            reason = describe(error)
            log.warning("trial %d failed: %s", trial.number, reason, exc_info=not _expected(error))
            trial.set_user_attr("reason", reason)
            self._over(folder, failure=reason)
            raise TrialFailed(reason) from error
        self._over(folder)
        second = {"seconds": outcome.seconds, "parameters": float(outcome.parameters)}
        wanted = self.orders.plan.objectives[1:]
        return (outcome.complete, *(second[name] for name in wanted)) if wanted else outcome.complete

    def _tracked(self, trial: "Trial", *, folder: Path) -> Outcome:
        """The trial inside its MLflow run, which a pruned trial finishes, too."""
        import optuna

        train = self.orders.plan.train_with(suggest(trial, self.orders.plan.space))
        pruned = None
        with records.open_trial(trial, orders=self.orders, train=train) as run, watching(run):
            try:
                outcome = self._trained(trial, train=train, folder=folder, run=run)
            except optuna.TrialPruned as error:
                pruned = error
                records.close_trial(run, state="pruned")
            except Exception as error:
                records.close_trial(run, state="failed", reason=describe(error))
                raise
            else:
                scores = {key: value for key, value in vars(outcome).items() if key != "pixels"}
                records.close_trial(run, state="complete", scores=scores)
        if pruned is not None:
            raise pruned
        return outcome

    def _trained(self, trial: "Trial", *, train: TrainParams, folder: Path, run: tracking.Run) -> Outcome:
        import optuna

        plan, root, reported = self.orders.plan, self.orders.root, 0
        prunes = plan.sweep.second == "none"

        def on_check(history: list[dict[str, float]]) -> None:
            nonlocal reported
            records.log_rows(run, history[reported:])
            for step in range(reported, len(history)) if prunes else ():
                trial.report(history[step]["validation_complete"], step + 1)
            fresh, reported = len(history) > reported, len(history)
            if prunes and fresh and trial.should_prune():
                raise optuna.TrialPruned(f"behind after validation round {reported}")

        outcome = self.train(plan, train, material=self.material, root=root, folder=folder, on_check=on_check)
        if not math.isfinite(outcome.complete):
            raise ArithmeticError(f"the score is {outcome.complete}")
        seconds = round(outcome.seconds, 2)
        facts = {"cases": outcome.cases, "seconds": seconds, "parameters": outcome.parameters, "pixels": outcome.pixels}
        for key, value in {**facts, **memory()}.items():
            trial.set_user_attr(key, value)
        return outcome

    def _over(self, folder: Path, *, failure: str = "") -> None:
        """Keeps no checkpoint of a trial that will not go on, and counts failures in a row."""
        shutil.rmtree(folder, ignore_errors=True)
        self.failures = [*self.failures, failure] if failure else []


def describe(error: BaseException) -> str:
    """The reason of a failure on one line."""
    text, name = " ".join(str(error).split())[:300], type(error).__name__
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or name == "ResourceExhaustedError":
        return f"out of memory: {text or name}"
    return text if _expected(error) else f"{name}: {text}"


def _expected(error: BaseException) -> bool:
    return isinstance(error, UserError | MemoryError | ArithmeticError)


def memory() -> dict[str, Any]:
    """Memory of this process, MB: at most so far, its own, and its share of what several processes map (Linux)."""
    import psutil

    parts = psutil.Process().memory_full_info()
    found = {"peak_memory_mb": round(provenance.peak_memory_mb()), "own_memory_mb": round(parts.uss / 2**20)}
    return found | ({"shared_memory_mb": round((parts.pss - parts.uss) / 2**20)} if hasattr(parts, "pss") else {})
