"""A sweep in MLflow: one run for the study, one child run for every trial, one level deep."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade import provenance, tracking
from brats_cascade.params import TrainParams
from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.standing import LOST, reason_of, score_of
from brats_cascade.sweep.trial import Outcome

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

RUN = "mlflow_run"  # user attribute of a study or a trial
PARENT = "mlflow.parentRunId"
SETTLES = 1.0  # seconds; between a look into the study's storage and a write there lie milliseconds


@contextlib.contextmanager
def open_study_run(study: "Study", *, plan: Plan, storage: str, root: Path) -> Iterator[tracking.Run]:
    """The run of the study: a new one, or that of an earlier command; finished at the end.

    Args:
        study: Optuna's.
        plan: What is searched.
        storage: Its address, without a password.
        root: The project's folder.

    Yields:
        The run.
    """
    sweep = plan.sweep
    params = {
        "storage": storage,
        "objectives": ", ".join(plan.objectives),
        **{
            f"sweep.{key}": getattr(sweep, key)
            for key in ("experiment", "seed", "sampler", "pruner", "startup", "second")
        },
        "sweep.space": json.dumps(sweep.space),
        "sweep.fixed": json.dumps(sweep.fixed),
    }
    tags = {**_tags(study.study_name, plan=plan, kind="sweep"), "git_commit": provenance.git_commit(root)}
    settings = {"name": study.study_name, "tags": tags, "params": params, "root": root}
    known = study.user_attrs.get(RUN) or _agreed(study, settings=settings)
    with _opened(known, **settings) as run:
        yield run


def _agreed(study: "Study", *, settings: Mapping[str, Any]) -> str:
    """Makes the run of a new study: one, however many hosts begin at once.

    The study's storage decides. What was written last counts, so each host reads again after a while in which any other that
    had read nothing has written, too; a host whose run is not the one that counts deletes its own.

    Returns:
        The run's id; "" if MLflow cannot be reached.
    """
    with tracking.start_run(**settings) as run:
        pass
    if not run.online:
        return ""
    if not study.user_attrs.get(RUN):
        study.set_user_attr(RUN, run.id)
        time.sleep(SETTLES)
    agreed = str(study.user_attrs[RUN])
    if agreed != run.id:
        run.client.delete_run(run.id)
    return agreed


@contextlib.contextmanager
def open_trial(
    trial: "Trial", *, study: str, plan: Plan, train: TrainParams, parent: str, root: Path
) -> Iterator[tracking.Run]:
    """The run of a trial, a child of the study's; a trial that is tried again goes on in the same run.

    Args:
        trial: Optuna's.
        study: Name of the study.
        plan: What is searched.
        train: The trial's settings.
        parent: Id of the study's run, "" for none.
        root: The project's folder.

    Yields:
        The run; finished at the end, failed after an exception.
    """
    tags = {
        **_tags(study, plan=plan, kind="trial"),
        "trial": trial.number,
        "state": "running",
        **{key: getattr(train, key) for key in ("normalisation", "class_weights", "procedure", "optimizer", "seed")},
        **({PARENT: parent} if parent else {}),
    }
    params = {f"train.{key}": value for key, value in train.model_dump().items()}
    known = trial.user_attrs.get(RUN)
    with _opened(known, name=f"{study}/{trial.number}", tags=tags, params=params, root=root) as run:
        if run.id and run.id != known:
            trial.set_user_attr(RUN, run.id)
        elif known:
            run.log_tags({"trial": trial.number, "state": "running"})
        yield run


def close_trial(run: tracking.Run, *, state: str, outcome: Outcome | None = None, reason: str = "") -> None:
    """How a trial ended: tags `state` and `reason`, and its scores."""
    run.log_tags({"state": state, **({"reason": reason} if reason else {})})
    if outcome is not None:
        scores = {"complete": outcome.complete, "seconds": outcome.seconds, "parameters": outcome.parameters}
        run.log_scores({**scores, "cases": outcome.cases}, prefix="sweep")


def log_rows(run: tracking.Run, rows: Sequence[Mapping[str, float]]) -> None:
    """Logs new rows of a training's history."""
    import pandas as pd

    if rows:
        run.log_history(pd.DataFrame(list(rows)))


def settle(run: tracking.Run, *, best: "FrozenTrial | None", trials: "Sequence[FrozenTrial]") -> None:
    """Tags the best trial's run and no other, ends the runs of trials that were lost, and sums up on the study's run.

    Args:
        run: Of the study.
        best: The best trial, or None.
        trials: All trials.
    """
    from mlflow.exceptions import MlflowException

    if not run.online:
        return
    chosen = best.user_attrs.get(RUN, "") if best else ""
    running = {trial.user_attrs.get(RUN) for trial in trials if trial.state.name in ("RUNNING", "WAITING")}
    lost = {trial.user_attrs.get(RUN) for trial in trials if reason_of(trial) == LOST} - running
    for child in sorted({trial.user_attrs[RUN] for trial in trials if RUN in trial.user_attrs}):
        with contextlib.suppress(MlflowException):  # a run that someone deleted
            stored = run.client.get_run(child)
            value = str(child == chosen).lower()
            if stored.data.tags.get("best", "false") != value:
                run.client.set_tag(child, "best", value)
            if child in lost and stored.info.status == "RUNNING":
                run.client.set_tag(child, "state", "lost")
                run.client.set_terminated(child, "KILLED")
    if best is not None:
        run.log_tags({"best_trial": best.number, "best_run": chosen})
        run.log_scores({"complete": score_of(best)}, prefix="best")


@contextlib.contextmanager
def _opened(known: str | None, **settings: Any) -> Iterator[tracking.Run]:
    name = settings.pop("name")
    if known:
        with tracking.resume_run(known, name=name, **settings) as run:
            yield run
    else:
        with tracking.start_run(name, finish=True, **settings) as run:
            yield run


def _tags(study: str, *, plan: Plan, kind: str) -> dict[str, Any]:
    return {
        "sweep": study,
        "kind": kind,
        "experiment": plan.sweep.experiment,
        "architecture": plan.entry.architecture,
        "builds_on": plan.entry.builds_on,
    }
