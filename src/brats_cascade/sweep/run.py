"""Runs a sweep on this host: the study, its MLflow run, the workers and the report; a rerun resumes it."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import psutil
from optuna import Study
from optuna.trial import FrozenTrial

from brats_cascade import provenance
from brats_cascade.costs import weights_of
from brats_cascade.errors import UserError, printable
from brats_cascade.params.names import problem_of_name
from brats_cascade.project import Project
from brats_cascade.sweep import records
from brats_cascade.sweep.apply import best_name
from brats_cascade.sweep.material import refuse_missing
from brats_cascade.sweep.plan import Orders, Plan
from brats_cascade.sweep.report import WHERE, write_report
from brats_cascade.sweep.storage import open_storage
from brats_cascade.sweep.study import make_study
from brats_cascade.sweep.trials import ENDED, best, counted, line_of
from brats_cascade.sweep.workers import count_workers, run_workers, visible_gpus, worker_environments


class Swept(NamedTuple):
    """The result of a sweep: Optuna's study, its trial with the best Dice or None, and the report's page."""

    study: Study
    best: FrozenTrial | None
    report: Path


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
    """Runs a sweep, or resumes the one with the same study name, in a project's root.

    `trials` is the total number over all commands and hosts, `storage` is as for `open_storage`, `workers` is a number of
    processes or "auto". No trial starts after `timeout` seconds. `tell` is called with one line for every finished trial.

    Raises:
        UserError: The study cannot be opened or was created with other settings, or no worker can run.
    """
    if problem := problem_of_name(name) or problem_of_name(best_name(name)):
        raise UserError(f"--study: {problem}")
    if not plan.space:
        raise UserError("params.yaml: sweep.space is empty; say what to search (docs/sweeps.md)")
    orders = Orders(name, storage, plan, root, trials, deadline=None if timeout is None else time.time() + timeout)
    gpus, cores = visible_gpus(os.environ), provenance.usable_cores()
    most = count_workers(workers, gpus=len(gpus), cores=cores, memory=psutil.virtual_memory().available / 2**30)
    refuse_missing(root, cnn1=plan.entry.cnn1)
    opened = open_storage(storage, heartbeat=plan.sweep.heartbeat, retries=plan.sweep.retries)
    cnn1 = [weights_of(root, name=plan.entry.cnn1)] if plan.entry.cnn1 else []
    data_key = "+".join([*sorted(provenance.data_hashes(root).values()), *cnn1])
    study, starts = make_study(name, storage=opened, plan=plan, data_key=data_key)
    if not starts:
        tell(f"the settings of {plan.sweep.experiment} lie outside sweep.space, so they are not the first trial")
    so_far = study.get_trials(deepcopy=False)
    running = sum(trial.state.name == "RUNNING" for trial in so_far)  # elsewhere or lost: may have to be repeated here
    count = min(most, max(trials - len(counted(so_far)) + running, 0))
    compiled = Project(root).work.resolve() / "compiled"
    environments = worker_environments(count, gpus=gpus, cores=cores, compiled=compiled, environment=os.environ)
    return _run(study, orders=orders, environments=environments, tell=tell)


def _run(study: Study, *, orders: Orders, environments: list[dict[str, str]], tell: Callable[[str], None]) -> Swept:
    """Runs the workers inside the study's MLflow run, and writes the report in any case."""
    root, plan = orders.root, orders.plan
    known = {trial.number for trial in study.get_trials(deepcopy=False) if trial.state.name in ENDED}
    if environments:
        made = {"commit": provenance.git_commit(root), "machine": provenance.machine(), "workers": len(environments)}
        study.set_user_attr(WHERE, made)
    if known:
        tell(f"resuming study {orders.study}: {len(known)} trials so far")

    def watch() -> bool:
        """Reports the trials that have ended since the last call, and returns whether there were any."""
        trials = study.get_trials(deepcopy=False)
        fresh = [trial for trial in trials if trial.state.name in ENDED and trial.number not in known]
        for trial in fresh:
            known.add(trial.number)
            tell(line_of(trial))
        return bool(fresh)

    with records.open_study_run(study, plan=plan, storage=printable(orders.storage), root=root) as run:
        try:
            run_workers(replace(orders, parent=run.id), environments=environments, watch=watch)
        finally:
            watch()
            found = study.get_trials(deepcopy=False)
            page, pictures = write_report(study, plan=plan, root=root)
            records.settle(run, best=best(found), trials=found)
            run.log_file(page)
            for picture in pictures.values():
                run.log_file(picture, folder="figures")
    return Swept(study, best(found), page)
