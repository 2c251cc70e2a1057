"""Runs a function on all cases in several local processes, or on the workers of a Dask cluster, through joblib."""

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
    """Calls `work` with every case and returns the rows in any order.

    Args:
        work: A function that can be pickled; an exception from it ends the run.
        cases: The cases.
        workers: Number of local processes; 1 means this process. Ignored for a cluster.
        scheduler: Address of a Dask scheduler, such as tcp://host:8786; "" for local processes.
        title: Title of the progress bar.
        each: Called in this process with every row as it arrives.

    Raises:
        UserError: A local process was killed, no scheduler answers, or Dask is not installed.
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

    work = partial(_work_in, Path.cwd(), None if scheduler else os.getpid(), work)
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
            f"a worker process was killed, probably because memory ran out: expected about 1 GB for each of {processes} "
            "workers; run again with fewer workers, finished cases are kept"
        ) from None
    except FileNotFoundError as error:
        raise UserError(
            f"scheduler: its workers do not see {error.filename}: the project must be on storage that they share"
        ) from None


def _work_in(folder: Path, parent: int | None, work: Callable[[Case], Row], case: Case) -> Row:
    """Runs in another process: makes relative paths mean the same as here. A local one ends with the process `parent`."""
    os.chdir(folder)
    if parent is not None:  # joblib's processes would wait for more work
        _end_with(parent)
    return work(case)


@cache
def _end_with(parent: int) -> None:
    watch(lambda: os.getppid() == parent, end=lambda: os._exit(1))


@contextmanager
def _none_interrupted() -> Iterator[None]:
    """Delivers Ctrl-C to this process only. The processes that it starts meanwhile do not see it, and end with this one."""
    ensure_running()  # joblib would start it later, when SIGINT is no longer blocked
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _cluster(scheduler: str) -> Iterator[None]:
    """Makes joblib use a Dask cluster inside the block; does nothing without an address."""
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
