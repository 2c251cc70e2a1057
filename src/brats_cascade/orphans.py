"""Tells whether processes still run, and ends one when its parent has ended, even if that was killed by SIGKILL."""

import os
import signal
import threading
import time
from collections.abc import Callable

import psutil

SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish")
GRACE = 30.0  # seconds between SIGTERM and a forced end


def end_with_dvc() -> None:
    """Ends this stage when the DVC process that runs it is gone, so that it does not interfere with DVC's next run."""
    if "DVC_STAGE" not in os.environ:
        return
    above = [process for process in psutil.Process().parents() if process.name() not in SHELLS]
    if above:
        watch(lambda: is_alive(above[0]), end=_end)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still runs; a zombie does not count."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def process_name() -> str:
    """Identifies this process on its host: its id and, because ids are reused, its start time."""
    return f"{os.getpid()} {psutil.Process().create_time():.0f}"


def still_runs(name: str) -> bool:
    """Whether the process of this host with this `process_name` still runs; False if it is no such name."""
    number, _, began = name.partition(" ")
    try:
        process = psutil.Process(int(number))
        return is_alive(process) and abs(process.create_time() - float(began)) < 5  # s: clocks are adjusted
    except (psutil.Error, ValueError):
        return False


def watch(alive: Callable[[], bool], *, end: Callable[[], None], every: float = 1.0) -> None:
    """Calls `end` in a separate thread as soon as something is no longer alive."""

    def look() -> None:
        while alive():
            time.sleep(every)
        end()

    threading.Thread(target=look, daemon=True).start()


def _end() -> None:
    """Ends this process with SIGTERM, which closes its MLflow run, and by force if that does not help."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(128 + signal.SIGTERM)
