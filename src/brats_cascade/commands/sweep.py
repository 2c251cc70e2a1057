"""brats-cascade sweep: run or go on with a sweep, and write its best trial into params.yaml."""

import logging
import os
import shlex
import sys
import time
from functools import partial
from pathlib import Path

from brats_cascade.backend import check_backend
from brats_cascade.params import load_params
from brats_cascade.sweep.apply import apply_best
from brats_cascade.sweep.plan import plan_of
from brats_cascade.sweep.report import COMMAND, write_page
from brats_cascade.sweep.run import run_sweep
from brats_cascade.sweep.storage import shown
from brats_cascade.sweep.trials import line_of


def run(
    root: Path,
    *,
    trials: int,
    workers: str = "auto",
    storage: str | None = None,
    study: str = "sweep",
    timeout: float | None = None,
    apply: bool = False,
    page: Path | None = None,
) -> None:
    """Runs a sweep as the block `sweep` of params.yaml says; the options are those of the command line.

    Raises:
        UserError: params.yaml or the study is not as it should be, or no trial could be run.
    """
    import optuna

    check_backend()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # it says when it makes its tables, for one
    for name in ("alembic", "matplotlib"):
        logging.getLogger(name).setLevel(logging.WARNING)
    root, started, tell = root.resolve(), time.perf_counter(), partial(print, flush=True)
    command = shlex.join(["brats-cascade", *sys.argv[1:]])
    plan = plan_of(load_params(root / "params.yaml"))
    address = storage or os.environ.get("OPTUNA_STORAGE") or f"sqlite:///{root / 'optuna.db'}"
    done = run_sweep(
        plan, name=study, trials=trials, storage=address, workers=workers, timeout=timeout, root=root, tell=tell
    )
    tell(f"{time.perf_counter() - started:.0f} s; report: {done.report}; study: {shown(address)}")
    if trials:
        done.study.set_user_attr(COMMAND, command)
    if page is not None:
        write_page(page, study=done.study, plan=plan, root=root, command=command)
        tell(f"page: {page}")
    if done.best is None:
        tell("no trial is complete yet")
        return
    tell(f"best: {line_of(done.best)}")
    if apply:
        tell(apply_best(root / "params.yaml", study=done.study, best=done.best, plan=plan))
    else:
        tell("the same command with --apply writes it into params.yaml, if it beats the experiment's own settings")
