"""Evaluates the trials of a study: which count, which is best, and which were lost and are repeated."""

import contextlib
import socket
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
from optuna import Study, storages
from optuna.trial import FrozenTrial, TrialState

from brats_cascade.orphans import still_runs

ENDED = {"COMPLETE": "complete", "PRUNED": "ended early", "FAIL": "failed"}
LOST = "the process that ran it was killed (because memory ran out, for example), or its host was lost"


@contextlib.contextmanager
def experimental() -> Iterator[None]:
    """Silences Optuna's warnings about experimental features; tests cover the ones used here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def retried(trials: Sequence[FrozenTrial]) -> set[int]:
    """Numbers of the trials that another trial repeats because their process was killed."""
    return {number for trial in trials for number in trial.system_attrs.get("retry_history", [])}


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that count towards `--trials`: started, and not repeated by another one."""
    repeated = retried(trials)
    return [trial for trial in trials if trial.state.name != "WAITING" and trial.number not in repeated]


def reason_of(trial: FrozenTrial) -> str:
    """The reason why a trial failed, or ""."""
    return str(trial.user_attrs.get("reason") or LOST) if trial.state.name == "FAIL" else ""


def complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials with a score."""
    return [trial for trial in trials if trial.state.name == "COMPLETE"]


def score_of(trial: FrozenTrial) -> float:
    """The complete Dice of a complete trial."""
    return float(trial.values[0])


def best(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The trial with the best Dice; ties go to the first."""
    return max(complete(trials), key=lambda trial: (score_of(trial), -trial.number), default=None)


def unchanged(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The complete trial with the experiment's own settings, if there is one."""
    return next((trial for trial in complete(trials) if trial.user_attrs.get("default")), None)


def settings_of(trial: FrozenTrial) -> dict[str, str]:
    """The trial's settings as text."""
    return {key: f"{value:.4g}" if isinstance(value, float) else str(value) for key, value in trial.params.items()}


def line_of(trial: FrozenTrial) -> str:
    """A finished trial on one line: state, score, settings, and the lost trial that it repeats."""
    settings = ", ".join(f"{key}={value}" for key, value in settings_of(trial).items())
    score = " ".join(f"{value:.4g}" for value in trial.values) if trial.values else reason_of(trial)
    repeated = trial.system_attrs.get("retry_history", [])
    retry = f"; retry of trial {repeated[-1]}" if repeated else ""
    return f"trial {trial.number} {ENDED[trial.state.name]}: {score} ({settings}){retry}"


def stale_for(trials: Sequence[FrozenTrial]) -> int:
    """The number of finished trials since the last improvement of the best Dice or, with two objectives, of the Pareto front.

    The first objective is maximised, the second one minimised.
    """
    ended = [trial for trial in trials if trial.state.name in ("COMPLETE", "PRUNED")]
    ended.sort(key=lambda trial: (trial.datetime_complete is None, trial.datetime_complete, trial.number))
    front: list[tuple[float, ...]] = []
    stale = 0
    for trial in ended:
        stale += 1
        if trial.state.name == "COMPLETE":
            point = (score_of(trial), *(-value for value in trial.values[1:]))
            if not any(all(a >= b for a, b in zip(other, point, strict=True)) for other in front):
                front.append(point)
                stale = 0
    return stale


def host_name() -> str:
    """This host and its boot time: after a restart none of its processes is left."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()} {boot.read_text().strip()[:8] if boot.is_file() else ''}".strip()


@experimental()
def give_up_lost(study: Study, *, retries: int) -> None:
    """Marks lost trials as failed and requeues them, using Optuna's heartbeat, or on the host that ran them.

    `retries` limits the repeats for storages without heartbeat; other storages got the limit when they were opened.
    """
    storage = study._storage
    if isinstance(getattr(storage, "_backend", storage), storages.RDBStorage):
        storages.fail_stale_trials(study)
        return
    queue, trials = storages.RetryHeartbeatStaleTrialCallback(max_retry=retries), study.get_trials()
    for trial in trials:
        gone = trial.user_attrs.get("host") == host_name() and not still_runs(trial.user_attrs.get("process", ""))
        if trial.state.name == "RUNNING" and gone and trial.number not in retried(trials):
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
                if storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL):
                    queue(study, storage.get_trial(trial._trial_id))
