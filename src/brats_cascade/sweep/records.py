"""Logs a sweep to MLflow: one run for the study, and one child run for every trial."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna import Study, Trial
from optuna.trial import FrozenTrial

from brats_cascade import provenance, tracking
from brats_cascade.params import TrainParams
from brats_cascade.sweep.plan import Orders, Plan
from brats_cascade.sweep.trials import LOST, reason_of, score_of
from brats_cascade.tracking.owner import STATE
from brats_cascade.tracking.quiet import ask
from brats_cascade.tracking.waiting import renew

RUN = "mlflow_run"  # user attribute of a study or trial
SETTLES = 1.0  # seconds; reading and writing the study's storage takes only milliseconds


@contextlib.contextmanager
def open_study_run(study: Study, *, plan: Plan, storage: str, root: Path) -> Iterator[tracking.Run]:
    """Opens the study's run, a new one or that of an earlier command, and finishes it at the end; `storage` has no password."""
    sweep = plan.sweep.model_dump(include={"experiment", "seed", "sampler", "pruner", "startup", "second"})
    sweep |= {"space": json.dumps(plan.sweep.space), "fixed": json.dumps(plan.sweep.fixed)}
    params = {"storage": storage, "objectives": ", ".join(plan.objectives)}
    params |= {f"sweep.{key}": value for key, value in sweep.items()}
    tags = _tags(study.study_name, plan=plan, kind="sweep", root=root)
    settings: dict[str, Any] = {"name": study.study_name, "tags": tags, "params": params, "root": root}
    known = study.user_attrs.get(RUN) or _agreed(study, settings=settings)
    with tracking.start_run(run_id=known, finish=True, **settings) as run:
        yield run


def _agreed(study: Study, *, settings: Mapping[str, Any]) -> str:
    """Creates the run of a new study, only one even if several hosts start at once; "" if MLflow cannot be reached.

    The study's storage decides: the last value written counts. Each host therefore reads again after a delay in which all
    others that read nothing have written, too. A host whose run does not count deletes it.
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
        ask(lambda: run.client.delete_run(run.id))
    return agreed


@contextlib.contextmanager
def open_trial(trial: Trial, *, orders: Orders, train: TrainParams) -> Iterator[tracking.Run]:
    """Opens the run of a trial, a child of the study's run; a repeated trial resumes the same run.

    On a device that settles `precision: auto` otherwise, it opens another one, because a run keeps its parameters.
    """
    tags = {
        **_tags(orders.study, plan=orders.plan, kind="trial", root=orders.root),
        "trial": trial.number,
        STATE: "running",
        **train.model_dump(include={"normalisation", "class_weights", "optimizer", "seed"}),
        "procedure": train.phases,
        **({tracking.PARENT: orders.parent} if orders.parent else {}),
    }
    params = {f"train.{key}": value for key, value in train.model_dump().items()}
    known, name = trial.user_attrs.get(RUN, ""), f"{orders.study}/{trial.number}"
    if trial.user_attrs.get("precision", train.precision) != train.precision:
        known = ""
    trial.set_user_attr("precision", train.precision)
    settings: dict[str, Any] = {"run_id": known, "tags": tags, "params": params, "root": orders.root}
    renew()
    with tracking.start_run(name, finish=True, **settings) as run:
        if run.id and run.id != known:
            trial.set_user_attr(RUN, run.id)
        elif known:
            run.log_tags({"trial": trial.number, STATE: "running"})
        yield run


def settle(run: tracking.Run, *, best: FrozenTrial | None, trials: Sequence[FrozenTrial]) -> None:
    """Tags only the best trial's run, ends the runs of lost trials, and summarises the study on its run."""
    if not run.online:
        return
    renew()
    chosen = best.user_attrs.get(RUN, "") if best else ""
    running = {trial.user_attrs.get(RUN) for trial in trials if trial.state.name in ("RUNNING", "WAITING")}
    lost = {trial.user_attrs.get(RUN) for trial in trials if reason_of(trial) == LOST} - running
    made = sorted({trial.user_attrs[RUN] for trial in trials if RUN in trial.user_attrs})

    def mark() -> None:
        for child in made:
            _mark(run, child, best=child == chosen, lost=child in lost)

    ask(mark, report=run.go_offline)
    if best is not None:
        run.log_tags({"best_trial": best.number, "best_run": chosen})
        run.log_scores({"complete": score_of(best)}, prefix="best")


def _mark(run: tracking.Run, child: str, *, best: bool, lost: bool) -> None:
    """Tags a trial's run as the best or not, and ends the run of a lost trial."""
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException):  # the run was deleted
        stored = run.client.get_run(child)
        value = str(best).lower()
        if stored.data.tags.get("best", "false") != value:
            run.client.set_tag(child, "best", value)
        runs = stored.info.status == "RUNNING"
        if lost and (runs or stored.data.tags.get(STATE) == "running"):  # SIGTERM closes the run and leaves the tag
            run.client.set_tag(child, STATE, "lost")
        if lost and runs:
            run.client.set_terminated(child, "KILLED")


def _tags(study: str, *, plan: Plan, kind: str, root: Path) -> dict[str, Any]:
    entry = plan.entry.model_dump(include={"architecture", "builds_on"})
    made = {"experiment": plan.sweep.experiment, "git_commit": provenance.git_commit(root)}
    return {"sweep": study, "kind": kind, **made, **entry}
