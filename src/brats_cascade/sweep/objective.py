"""What Optuna calls for every trial: settings, training, pruning, bookkeeping; a failure is recorded with its reason."""

import logging
import math
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade import provenance, tracking
from brats_cascade.params import TrainParams
from brats_cascade.params.space import suggest
from brats_cascade.sweep import records
from brats_cascade.sweep.material import Material
from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.standing import origin
from brats_cascade.sweep.trial import Outcome, train_trial

if TYPE_CHECKING:
    from optuna import Trial

log = logging.getLogger(__name__)


class TrialFailed(Exception):  # noqa: N818
    """A trial that cannot be scored; its reason is in the study, and the study goes on."""


@dataclass
class Objective:
    """Runs one trial after another in one process.

    Attributes:
        study: Its name.
        plan: What is searched.
        material: What to train on.
        root: The project's folder.
        work: Folder of the study's checkpoints.
        parent: MLflow's run of the study, "" for none.
        begun: Called once a trial's number is known.
        train: The training; another one in tests and benchmarks.
        failures: Trials that failed in a row, and why the last one did.
    """

    study: str
    plan: Plan
    material: Material
    root: Path
    work: Path
    parent: str = ""
    begun: Callable[[], None] = lambda: None
    train: Callable[..., Outcome] = train_trial
    failures: list[str] = field(default_factory=list)

    def __call__(self, trial: "Trial") -> float | tuple[float, ...]:
        """One trial.

        Args:
            trial: Optuna's.

        Returns:
            The score, or with two objectives both.

        Raises:
            TrialFailed: It cannot be scored.
            optuna.TrialPruned: It fell behind.
        """
        import optuna

        self.begun()
        folder = self.work / f"{origin(trial.study.get_trials(deepcopy=False)[trial.number]):04d}"
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
        second = {"seconds": outcome.seconds, "parameters": float(outcome.parameters)}.get(self.plan.sweep.second)
        return outcome.complete if second is None else (outcome.complete, second)

    def _tracked(self, trial: "Trial", *, folder: Path) -> Outcome:
        """The trial inside its MLflow run."""
        import optuna

        train = self.plan.train_with(suggest(trial, self.plan.space))
        pruned = None
        with records.open_trial(
            trial, study=self.study, plan=self.plan, train=train, parent=self.parent, root=self.root
        ) as run:
            try:
                outcome = self._trained(trial, train=train, folder=folder, run=run)
            except optuna.TrialPruned as error:
                pruned = error
                records.close_trial(run, state="pruned")
            except Exception as error:
                records.close_trial(run, state="failed", reason=describe(error))
                raise
            else:
                records.close_trial(run, state="complete", outcome=outcome)
        if pruned is not None:
            raise pruned
        return outcome

    def _trained(self, trial: "Trial", *, train: TrainParams, folder: Path, run: tracking.Run) -> Outcome:
        import optuna

        prunes = self.plan.sweep.second == "none"
        reported = 0

        def on_check(history: list[dict[str, float]]) -> None:
            nonlocal reported
            records.log_rows(run, history[reported:])
            for step in range(reported, len(history)) if prunes else ():
                trial.report(history[step]["validation_complete"], step + 1)
            fresh, reported = len(history) > reported, len(history)
            if prunes and fresh and trial.should_prune():
                raise optuna.TrialPruned(f"behind after validation round {reported}")

        outcome = self.train(self.plan, train, material=self.material, root=self.root, folder=folder, on_check=on_check)
        if not math.isfinite(outcome.complete):
            raise ArithmeticError(f"the score is {outcome.complete}")
        facts: dict[str, Any] = {
            "cases": outcome.cases,
            "seconds": round(outcome.seconds, 2),
            "parameters": outcome.parameters,
            "pixels": outcome.pixels,
            **memory(),
        }
        for key, value in facts.items():
            trial.set_user_attr(key, value)
        return outcome

    def _over(self, folder: Path, *, failure: str = "") -> None:
        """Keeps no checkpoint of a trial that will not go on, and counts failures in a row."""
        shutil.rmtree(folder, ignore_errors=True)
        self.failures = [*self.failures, failure] if failure else []


def describe(error: BaseException) -> str:
    """The reason of a failure on one line."""
    text = " ".join(str(error).split())[:300]
    name = type(error).__name__
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or name == "ResourceExhaustedError":
        return f"out of memory: {text or name}"
    return text if _expected(error) else f"{name}: {text}"


def _expected(error: BaseException) -> bool:
    from brats_cascade.errors import UserError

    return isinstance(error, UserError | MemoryError | ArithmeticError)


def host_name() -> str:
    """This host, and since when it runs: after a restart none of its processes is left."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()} {boot.read_text().strip()[:8] if boot.is_file() else ''}".strip()


def memory() -> dict[str, int]:
    """Memory of this process, MB: at most so far, its own, and its share of what several processes map (Linux)."""
    import psutil

    found = {"peak_memory_mb": round(provenance.peak_memory_mb())}
    parts = psutil.Process().memory_full_info()
    found["own_memory_mb"] = round(parts.uss / 2**20)
    if hasattr(parts, "pss"):
        found["shared_memory_mb"] = round((parts.pss - parts.uss) / 2**20)
    return found
