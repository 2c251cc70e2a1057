"""A whole sweep on this host: the study, its MLflow run, the workers, the report; run again, it goes on."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade import provenance
from brats_cascade.errors import UserError
from brats_cascade.params.names import problem_of_name
from brats_cascade.project import Project
from brats_cascade.sweep import records
from brats_cascade.sweep.crew import Crew
from brats_cascade.sweep.devices import count_workers, usable_cores, visible_gpus, worker_environment
from brats_cascade.sweep.material import refuse_missing
from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.report import Report, write_report
from brats_cascade.sweep.standing import best, counted
from brats_cascade.sweep.storage import open_storage, shown
from brats_cascade.sweep.study import make_study

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

ENDED = ("COMPLETE", "PRUNED", "FAIL")


@dataclass(frozen=True)
class Swept:
    """What a sweep leaves.

    Attributes:
        study: Optuna's.
        best: The trial with the best Dice, or None.
        report: The page and its pictures.
    """

    study: "Study"
    best: "FrozenTrial | None"
    report: Report


def run_sweep(
    plan: Plan,
    *,
    name: str,
    trials: int,
    storage: str,
    workers: str = "auto",
    timeout: float | None = None,
    root: Path,
    tell: Callable[[str], None],
) -> Swept:
    """Runs a sweep, or goes on with one of the same name.

    Args:
        plan: What is searched.
        name: Of the study.
        trials: How many the study should have in all, over all commands and hosts.
        storage: As for `open_storage`.
        workers: A number of processes, or "auto".
        timeout: Seconds after which no trial begins, or None.
        root: The project's folder.
        tell: Given one line for every trial that ends.

    Returns:
        What it leaves.

    Raises:
        UserError: The study cannot be opened or was made for something else, or no worker can work.
    """
    if problem := problem_of_name(name):
        raise UserError(f"--study: {problem}")
    if not plan.space:
        raise UserError("params.yaml: sweep.space is empty; say what to search (docs/sweeps.md)")
    deadline = None if timeout is None else time.time() + timeout
    gpus, cores = visible_gpus(_environment()), usable_cores()
    most = count_workers(workers, gpus=len(gpus), cores=cores, memory=_free_memory())
    refuse_missing(root, cnn1=plan.entry.cnn1)
    hashes = provenance.data_hashes(root)
    opened = open_storage(storage, heartbeat=plan.sweep.heartbeat, retries=plan.sweep.retries)
    study, starts = make_study(name, storage=opened, plan=plan, data_key="+".join(sorted(hashes.values())))
    if not starts:
        tell(f"the settings of {plan.sweep.experiment} lie outside sweep.space, so they are not the first trial")
    so_far = study.get_trials(deepcopy=False)
    count = min(most, _left(so_far, trials=trials))
    folder = Project(root).work / "sweep" / name
    if count:
        study.set_user_attr("where", _where(root, workers=count))
    with records.open_study_run(study, plan=plan, storage=shown(storage), root=root) as run:
        orders: dict[str, Any] = {
            "study": name,
            "storage": storage,
            "plan": plan.as_dict(),
            "root": str(root),
            "work": str(folder),
        }
        orders |= {"trials": trials, "deadline": deadline, "parent": run.id}
        known = {trial.number for trial in so_far if trial.state.name in ENDED}
        if known:
            tell(f"going on with study {name}: {len(known)} trials so far")
        try:
            crew = Crew(orders, environments=_environments(count, gpus=gpus, cores=cores), folder=folder)
            crew.run(watch=lambda: _news(study, known=known, tell=tell))
        finally:
            _news(study, known=known, tell=tell)
            found = study.get_trials(deepcopy=False)
            report = write_report(Project(root).reports / "sweep.html", study=study, plan=plan)
            records.settle(run, best=best(found), trials=found)
            run.log_file(report.page)
            run.log_figures(report.pictures)
    return Swept(study, best(found), report)


def line_of(trial: "FrozenTrial") -> str:
    """A trial on one line: how it ended, its score, its settings."""
    from brats_cascade.sweep.standing import reason_of

    settings = ", ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in trial.params.items()
    )
    word = {"COMPLETE": "complete", "PRUNED": "ended early at", "FAIL": "failed:"}[trial.state.name]
    score = " ".join(f"{value:.4g}" for value in trial.values) if trial.values else reason_of(trial)
    return f"trial {trial.number} {word} {score} ({settings})"


def _news(study: "Study", *, known: set[int], tell: Callable[[str], None]) -> bool:
    """Tells of the trials that have ended since the last call, and says whether there are any."""
    trials = study.get_trials(deepcopy=False)
    fresh = [trial for trial in trials if trial.state.name in ENDED and trial.number not in known]
    for trial in fresh:
        known.add(trial.number)
        # a killed trial is queued again only after it is marked as failed, so its retry says what it repeats
        repeated = trial.system_attrs.get("retry_history", [])
        tell(line_of(trial) + (f"; retry of trial {repeated[-1]}" if repeated else ""))
    return bool(fresh)


def _left(so_far: "list[FrozenTrial]", *, trials: int) -> int:
    """Trials that workers may take up: those to begin, and those that run elsewhere or are lost."""
    return max(trials - len(counted(so_far)) + sum(trial.state.name == "RUNNING" for trial in so_far), 0)


def _where(root: Path, *, workers: int) -> dict[str, Any]:
    return {"commit": provenance.git_commit(root), "machine": provenance.machine(), "workers": workers}


def _environments(workers: int, *, gpus: list[str], cores: int) -> list[dict[str, str]]:
    environment = _environment()
    return [
        worker_environment(index, workers=workers, gpus=gpus, cores=cores, environment=environment)
        for index in range(workers)
    ]


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


def _free_memory() -> float:
    import psutil

    return psutil.virtual_memory().available / 2**30
