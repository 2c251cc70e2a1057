"""A Dask scheduler and two workers on this machine, as docs/data.md starts them on several."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from processes import SRC, unmeasured


@contextlib.contextmanager
def dask_cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Address of a scheduler, and two worker processes of one thread each, started elsewhere."""
    address_file = folder / "scheduler.json"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    quiet["env"] = unmeasured(PYTHONPATH=os.pathsep.join([str(SRC), *sys.path]))
    local = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(address_file)]
    python = [sys.executable, "-m"]
    processes = [subprocess.Popen([*python, "distributed.cli.dask_scheduler", *local, "--port", "0"], **quiet)]
    try:
        deadline = time.monotonic() + 60
        while not (address_file.exists() and address_file.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.1)
        worker = [*python, "distributed.cli.dask_worker", *local, "--nthreads", "1", "--no-nanny"]
        processes += [subprocess.Popen(worker, **quiet) for _ in range(2)]
        yield json.loads(address_file.read_text())["address"], processes[1:]
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait(30)


@contextlib.contextmanager
def killing_one(workers: list[subprocess.Popen[bytes]], *, done: Callable[[], int], at: int) -> Iterator[list[int]]:
    """Kills the first worker once so many cases are done; yields a list that then holds how many were."""
    killed_at: list[int] = []

    def kill() -> None:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            if (count := done()) >= at:
                workers[0].send_signal(signal.SIGKILL)
                killed_at.append(count)
                return
            time.sleep(0.005)

    killer = threading.Thread(target=kill)
    killer.start()
    yield killed_at
    killer.join()
