"""Spreads the cases over processes of this machine, or over the workers of a Dask cluster, through joblib."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from typing import Any

from brats_cascade.data.case import Case
from brats_cascade.errors import UserError
from brats_cascade.orphans import watch

Row = dict[str, Any]


def run_cases(
    work: Callable[[Case], Row],
    cases: Sequence[Case],
    *,
    workers: int,
    scheduler: str = "",
    title: str,
    each: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Calls `work` with every case, each in one process from start to end; the order of the rows is any.

    Args:
        work: Can be pickled; what it raises ends the run.
        cases: What to call it with.
        workers: Processes of this machine; 1 for this very one. A cluster has its own number.
        scheduler: Address of a Dask scheduler, such as tcp://host:8786; "" for this machine.
        title: Of the progress bar.
        each: Called in this process with every row as it comes.

    Raises:
        UserError: A process of this machine was killed, no scheduler answers there, or Dask is not installed.
    """
    from tqdm import tqdm

    rows = []
    coming = _run(work, cases, workers=workers, scheduler=scheduler)
    for row in tqdm(coming, total=len(cases), desc=title, unit="case", disable=None):
        if each is not None:
            each(row)
        rows.append(row)
    return rows


def _run(work: Callable[[Case], Row], cases: Sequence[Case], *, workers: int, scheduler: str) -> Iterable[Row]:
    processes = min(workers, len(cases))
    if not cases or (processes <= 1 and not scheduler):
        yield from map(work, cases)
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    work = partial(_work_in, Path.cwd(), work) if scheduler else partial(_work_below, os.getpid(), work)
    try:
        with _cluster(scheduler):
            parallel = Parallel(
                n_jobs=-1 if scheduler else processes, return_as="generator_unordered", batch_size=1, pre_dispatch="all"
            )
            with _none_interrupted():
                rows = parallel(delayed(work)(case) for case in cases)
            yield from rows
    except TerminatedWorkerError:
        raise UserError(
            f"a worker process was killed, most likely for want of memory: expected about 1 GB for each of {processes} "
            "workers; run again with fewer workers, finished cases are kept"
        ) from None
    except FileNotFoundError as error:
        raise UserError(
            f"scheduler: its workers do not see {error.filename}: the project must lie on storage that they share"
        ) from None


def _work_in(folder: Path, work: Callable[[Case], Row], case: Case) -> Row:
    """On a worker of the cluster: relative paths mean what they mean here."""
    os.chdir(folder)
    return work(case)


def _work_below(parent: int, work: Callable[[Case], Row], case: Case) -> Row:
    """In a process of this machine, which ends with the one that started it: joblib's would wait for more."""
    _end_with(parent)
    return work(case)


@cache
def _end_with(parent: int) -> None:
    watch(lambda: os.getppid() == parent, end=lambda: os._exit(1))


@contextmanager
def _none_interrupted() -> Iterator[None]:
    """Ctrl-C reaches this process alone, and not those that it starts meanwhile, which end with it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    ensure_running()  # joblib starts it otherwise, after which SIGINT is let through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _cluster(scheduler: str) -> Iterator[None]:
    """Makes joblib use a Dask cluster for a while; does nothing without an address."""
    if not scheduler:
        yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise UserError(
            "scheduler: needs Dask, which is not installed: install the extra, pip install -e '.[cluster]'"
        ) from None
    from joblib import parallel_config

    try:
        client = Client(scheduler, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"scheduler: no Dask scheduler answers at {scheduler} ({error}); start one with `dask scheduler`"
        ) from None
    with client, parallel_config(backend="dask", client=client, wait_for_workers_timeout=60):
        yield
