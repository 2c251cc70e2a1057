"""brats-cascade sweep: run or go on with a sweep, and write its best trial into params.yaml."""

import logging
import os
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from brats_cascade.backend import check_backend
from brats_cascade.params import load_params
from brats_cascade.sweep.apply import apply_best
from brats_cascade.sweep.page import COMMAND, read_metrics, write_page
from brats_cascade.sweep.plan import plan_of
from brats_cascade.sweep.run import line_of, run_sweep
from brats_cascade.sweep.storage import default_storage, shown


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
    words: Sequence[str] = ("brats-cascade", "sweep"),
    tell: Callable[[str], None] = print,
) -> None:
    """Runs a sweep as the block `sweep` of params.yaml says.

    Args:
        root: The project's folder.
        trials: How many trials the study should have in all; with 0 none is run, and the report is written anew.
        workers: A number of processes, or "auto".
        storage: Where the study is kept; OPTUNA_STORAGE, then `optuna.db` by default.
        study: Its name.
        timeout: Seconds after which no trial begins.
        apply: Write the best trial into params.yaml.
        page: Where to write a short Markdown page for git, or None.
        words: The command, as that page names it.
        tell: Given what the user should read, line by line.

    Raises:
        UserError: params.yaml or the study is not as it should be, or no trial could be run.
    """
    import optuna

    check_backend()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # it says when it makes its tables, for one
    for name in ("alembic", "matplotlib"):
        logging.getLogger(name).setLevel(logging.WARNING)
    root = root.resolve()
    plan = plan_of(load_params(root / "params.yaml"))
    address = storage or os.environ.get("OPTUNA_STORAGE") or default_storage(root)
    started = time.perf_counter()
    done = run_sweep(
        plan, name=study, trials=trials, storage=address, workers=workers, timeout=timeout, root=root, tell=tell
    )
    tell(f"{time.perf_counter() - started:.0f} s; report: {done.report.page}; study: {shown(address)}")
    if trials:
        done.study.set_user_attr(COMMAND, shlex.join(words))
    if page is not None:
        metrics = read_metrics(root, study=study)
        write_page(page, study=done.study, plan=plan, report=done.report, words=words, metrics=metrics)
        tell(f"page: {page}")
    if done.best is None:
        tell("no trial is complete yet")
        return
    tell("best: " + line_of(done.best))
    if apply:
        tell(apply_best(root / "params.yaml", study=done.study, best=done.best, plan=plan))
    else:
        tell("the same command with --apply writes it into params.yaml, if it beats the experiment's own settings")
