"""Optuna's objective: settings, training, pruning and tracking of a trial; a failure is recorded with its reason."""

import logging
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna

from brats_cascade import MODALITIES, provenance, tracking
from brats_cascade.errors import UserError
from brats_cascade.orphans import process_name
from brats_cascade.params import TrainParams
from brats_cascade.params.space import suggest
from brats_cascade.project import Project
from brats_cascade.stages.train_entry import on_this_device, train_entry
from brats_cascade.sweep.plan import Orders, Plan
from brats_cascade.sweep.records import open_trial
from brats_cascade.sweep.trials import host_name
from brats_cascade.tracking.system import watching

if TYPE_CHECKING:
    from brats_cascade.inference.segment import Member
    from brats_cascade.training.batches import TrainingCase, TrainingData

log = logging.getLogger(__name__)
OnCheck = Callable[[list[dict[str, float]]], None]


@dataclass(frozen=True)
class Outcome:
    """The result of a finished training."""

    complete: float  # mean complete Dice over the validation patients, on all slices of all their cases
    cases: dict[str, float]  # validation case -> complete Dice
    seconds: float  # training time
    parameters: int  # parameters of the network, including CNN 1
    pixels: int  # labelled pixels seen, including those of CNN 1s


def train_trial(
    plan: Plan, train: TrainParams, *, data: "TrainingData", root: Path, folder: Path, on_check: OnCheck
) -> Outcome:
    """Trains the plan's experiment with the settings of one trial and scores the result.

    `folder` holds the checkpoints, from which a killed training resumes. `on_check` is called with the history after every
    validation round and may raise to end the training.

    Raises:
        UserError: The loss is no longer finite, or the CNN 1 that the experiment builds on is missing or does not fit.
    """
    from brats_cascade.inference.segment import Member
    from brats_cascade.models.contract import Contract

    entry = plan.entry.model_copy(update={"train": train})
    trained = train_entry(Project(root), entry, data=data, folder=folder, on_check=on_check)
    styles = trained.style, trained.cnn1_style
    member = Member(trained.network, Contract(entry.architecture, data.classes, MODALITIES, 0.0, *styles))
    cases = {case.name: complete_dice(member, case=case) for case in data.validation}
    complete = mean_over_patients(cases, patients={case.name: case.patient for case in data.validation})
    return Outcome(complete, cases, trained.seconds, trained.network.count_params(), trained.pixels)


def complete_dice(member: "Member", *, case: "TrainingCase") -> float:
    """Dice of the complete tumour, without post-processing, of a case segmented as `evaluate` does; 1 if both are empty."""
    from brats_cascade.inference.segment import label_probabilities, most_probable
    from brats_cascade.labels import region_mask

    seen: dict[str, Any] = {"brain": np.asarray(case.brain), "spacing": case.spacing}
    labels = most_probable(label_probabilities([member], image=case.image, **seen))
    found, truth = (region_mask(part, region="complete") for part in (labels, np.asarray(case.labels)))
    size = int(found.sum() + truth.sum())
    return 2 * int((found & truth).sum()) / size if size else 1.0


def mean_over_patients(scores: Mapping[str, float], *, patients: Mapping[str, str]) -> float:
    """Mean over patients of the mean over each patient's cases, given case -> score and case -> patient."""
    of_patient: dict[str, list[float]] = {}
    for case, score in scores.items():
        of_patient.setdefault(patients[case], []).append(score)
    return sum(sum(values) / len(values) for values in of_patient.values()) / len(of_patient)


class TrialFailed(Exception):  # noqa: N818
    """A trial that cannot be scored; its reason is in the study, and the study continues."""


@dataclass
class Objective:
    """Runs trials in one process.

    Attributes:
        orders: The study, and where it runs.
        data: The training data.
        train: The training function; tests and benchmarks replace it.
        begun: Called once a trial's number is known, and others can tell that its process runs.
        failures: Number of consecutive failed trials, and the last reason.
    """

    orders: Orders
    data: "TrainingData"
    train: Callable[..., Outcome] = train_trial
    begun: Callable[[], None] = lambda: None
    failures: list[str] = field(default_factory=list)

    def __call__(self, trial: optuna.Trial) -> tuple[float, ...]:
        """Runs one trial; returns its score, and with two objectives the second one.

        Raises:
            TrialFailed: The trial cannot be scored.
            optuna.TrialPruned: The trial was pruned.
        """
        stored = trial.study.get_trials(deepcopy=False)[trial.number]
        folder = self.orders.folder / f"{stored.system_attrs.get('failed_trial', trial.number):04d}"  # first try
        for key, value in {"process": process_name(), "host": host_name()}.items():
            trial.set_user_attr(key, value)  # a repeated trial has those of the lost one, by which others call it lost
        self.begun()
        try:
            outcome = self._tracked(trial, folder=folder)
        except optuna.exceptions.UpdateFinishedTrialError:
            raise  # another worker marked this trial as lost; its copy resumes from the checkpoint
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
        return tuple(float(getattr(outcome, name)) for name in self.orders.plan.objectives)

    def _tracked(self, trial: optuna.Trial, *, folder: Path) -> Outcome:
        """Runs the trial inside its MLflow run, which a pruned trial also finishes."""
        train = on_this_device(self.orders.plan.train_with(suggest(trial, self.orders.plan.space)))
        pruned = None
        with open_trial(trial, orders=self.orders, train=train) as run, watching(run):
            try:
                outcome = self._trained(trial, train=train, folder=folder, run=run)
            except optuna.TrialPruned as error:
                pruned = error
                run.log_tags({"state": "pruned"})
            except Exception as error:
                run.log_tags({"state": "failed", "reason": describe(error)})
                raise
            else:
                run.log_tags({"state": "complete"})
                scores = {key: value for key, value in vars(outcome).items() if key != "pixels"}
                run.log_scores(scores, prefix="sweep")
        if pruned is not None:
            raise pruned
        return outcome

    def _trained(self, trial: optuna.Trial, *, train: TrainParams, folder: Path, run: tracking.Run) -> Outcome:
        plan, reported = self.orders.plan, 0
        prunes = len(plan.objectives) == 1

        def on_check(history: list[dict[str, float]]) -> None:
            nonlocal reported
            run.log_progress(history)
            fresh, reported = range(reported, len(history)), len(history)
            for row in (history[index] for index in fresh if prunes):
                trial.report(row["validation_complete"], round_of(row, checks=train.checks))
            if prunes and fresh and trial.should_prune():
                raise optuna.TrialPruned(f"behind after validation round {reported}")

        outcome = self.train(plan, train, data=self.data, root=self.orders.root, folder=folder, on_check=on_check)
        if not math.isfinite(outcome.complete):
            raise ArithmeticError(f"the score is {outcome.complete}")
        facts = {key: value for key, value in vars(outcome).items() if key != "complete"}
        for key, value in {**facts, "seconds": round(outcome.seconds, 2), **memory()}.items():
            trial.set_user_attr(key, value)
        return outcome

    def _over(self, folder: Path, *, failure: str = "") -> None:
        """Deletes the checkpoint of a trial that will not resume, and counts consecutive failures."""
        shutil.rmtree(folder, ignore_errors=True)
        self.failures = [*self.failures, failure] if failure else []


def round_of(row: Mapping[str, float], *, checks: int) -> int:
    """The number of a validation round in the whole training, from 1, as if phase 1 had not ended early (`patience`).

    Trials are compared at the same number, so it must not be a round of phase 1 in one and of phase 2 in another.
    """
    return int((row["phase"] - 1) * checks + row["check"])


def describe(error: BaseException) -> str:
    """The reason of a failure on one line."""
    text, name = " ".join(str(error).split())[:300], type(error).__name__
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or name == "ResourceExhaustedError":
        return f"out of memory: {text or name}"
    return text if _expected(error) else f"{name}: {text}"


def _expected(error: BaseException) -> bool:
    return isinstance(error, UserError | MemoryError | ArithmeticError)


def memory() -> dict[str, Any]:
    """Memory of this process, MB: peak, private, and its share of memory mapped by several processes (Linux)."""
    import psutil

    parts = psutil.Process().memory_full_info()
    found = {"peak_memory_mb": round(provenance.peak_memory_mb()), "own_memory_mb": round(parts.uss / 2**20)}
    return found | ({"shared_memory_mb": round((parts.pss - parts.uss) / 2**20)} if hasattr(parts, "pss") else {})
