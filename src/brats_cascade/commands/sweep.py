"""brats-cascade sweep: runs or resumes a sweep, and adds its best trial to params.yaml."""

import os
import shlex
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from brats_cascade.commands.options import FLAG, OUTPUT
from brats_cascade.errors import UserError, printable


def run(
    trials: Annotated[int, Option(min=0, help="Total number of trials, including earlier ones.")],
    workers: Annotated[
        str, Option(help="Number of processes, or auto: one per GPU, or without a GPU one per core, at most 8.")
    ] = "auto",
    storage: Annotated[
        str | None,
        Option(
            help="sqlite:///FILE, postgresql://..., journal:FILE or grpc://HOST:PORT (default: OPTUNA_STORAGE, or "
            "optuna.db in the project's root)."
        ),
    ] = None,
    study: Annotated[str, Option(help="Study name; reuse it to resume.")] = "sweep",
    timeout: Annotated[float | None, Option(min=0, help="Start no new trial after this many seconds.")] = None,
    apply: Annotated[
        bool, Option("--apply", help="Add the best trial to params.yaml as an experiment.", **FLAG)
    ] = False,
    page: Annotated[
        Path | None,
        Option(help="Also write a short Markdown page for git, such as docs/results/sweep.md.", **OUTPUT),
    ] = None,
) -> None:
    """Tune hyperparameters with Optuna (block `sweep` of params.yaml); rerun to resume."""
    import optuna

    from brats_cascade.backend import check_backend
    from brats_cascade.params import load_params
    from brats_cascade.sweep.plan import plan_of
    from brats_cascade.sweep.report import COMMAND, write_page
    from brats_cascade.sweep.run import run_sweep
    from brats_cascade.sweep.storage import sqlite_url

    check_backend()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # it tells when it makes its tables
    root, started, tell = Path.cwd(), time.perf_counter(), partial(print, flush=True)
    command = printable(shlex.join(["brats-cascade", *sys.argv[1:]]))  # it may contain a password
    plan = plan_of(load_params(root / "params.yaml"))
    address = storage or os.environ.get("OPTUNA_STORAGE") or sqlite_url(root / "optuna.db")
    done = run_sweep(
        plan, name=study, trials=trials, storage=address, workers=workers, timeout=timeout, root=root, tell=tell
    )
    tell(f"{time.perf_counter() - started:.0f} s; report: {done.report}; study: {printable(address)}")
    if trials:
        done.study.set_user_attr(COMMAND, command)
    if page is not None:
        write_page(page, study=done.study, plan=plan, root=root, command=command)
        tell(f"page: {page}")
    for line in _best(done, plan=plan, params=root / "params.yaml" if apply else None):
        tell(line)


def _best(done: Any, *, plan: Any, params: Path | None) -> Iterator[str]:
    """Prints the best trial, and with `apply` adds it to params.yaml."""
    from brats_cascade.sweep.apply import apply_best
    from brats_cascade.sweep.trials import line_of, reason_of

    if done.best is None:
        failed = [trial for trial in done.study.get_trials(deepcopy=False) if trial.state.name == "FAIL"]
        if failed:
            raise UserError(f"no trial is complete; trial {failed[-1].number} failed: {reason_of(failed[-1])}")
        yield "no trial is complete yet"
        return
    yield f"best: {line_of(done.best)}"
    if params is not None:
        yield apply_best(params, study=done.study, best=done.best, plan=plan)
    else:
        yield "the same command with --apply writes it into params.yaml, if it beats the experiment's own settings"
