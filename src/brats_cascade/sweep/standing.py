"""Where a study stands: how many trials count, which improve on those before, which have gone stale."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

LOST = "the process that ran it was killed (by a full memory, say), or its host was lost"


def retried(trials: "Sequence[FrozenTrial]") -> set[int]:
    """Numbers of the trials that another trial repeats, because their process was killed."""
    return {number for trial in trials for number in trial.system_attrs.get("retry_history", [])}


def counted(trials: "Sequence[FrozenTrial]") -> "list[FrozenTrial]":
    """The trials that count towards `--trials`: begun, and not repeated by another one."""
    repeated = retried(trials)
    return [trial for trial in trials if trial.state.name != "WAITING" and trial.number not in repeated]


def origin(trial: "FrozenTrial") -> int:
    """The number under which a trial was first tried; its checkpoints lie there."""
    return int(trial.system_attrs.get("failed_trial", trial.number))


def reason_of(trial: "FrozenTrial") -> str:
    """Why a trial failed, or ""."""
    if trial.state.name != "FAIL":
        return ""
    return str(trial.user_attrs.get("reason") or LOST)


def complete(trials: "Sequence[FrozenTrial]") -> "list[FrozenTrial]":
    """The trials with a score, in the order in which they ended."""
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    return sorted(done, key=lambda trial: (trial.datetime_complete is None, trial.datetime_complete, trial.number))


def score_of(trial: "FrozenTrial") -> float:
    """The complete Dice of a complete trial."""
    return float(trial.values[0])


def best(trials: "Sequence[FrozenTrial]") -> "FrozenTrial | None":
    """The trial with the best Dice; of several equal ones the first."""
    done = complete(trials)
    return max(done, key=lambda trial: (score_of(trial), -trial.number)) if done else None


def unchanged(trials: "Sequence[FrozenTrial]") -> "FrozenTrial | None":
    """The complete trial with the experiment's own settings, if there is one."""
    return next((trial for trial in complete(trials) if trial.user_attrs.get("default")), None)


def stale_for(trials: "Sequence[FrozenTrial]") -> int:
    """Finished trials since the last one that improved the best Dice, or with two objectives the Pareto front.

    Args:
        trials: Of one study; the first objective is maximised, a second one minimised.

    Returns:
        Their number; 0 while nothing has finished.
    """
    ended = [trial for trial in trials if trial.state.name in ("COMPLETE", "PRUNED")]
    ended.sort(key=lambda trial: (trial.datetime_complete is None, trial.datetime_complete, trial.number))
    front: list[tuple[float, ...]] = []
    stale = 0
    for trial in ended:
        point = None
        if trial.state.name == "COMPLETE":
            point = (trial.values[0], *(-value for value in trial.values[1:]))
        if point is None or any(all(a >= b for a, b in zip(other, point, strict=True)) for other in front):
            stale += 1
            continue
        front.append(point)
        stale = 0
    return stale
