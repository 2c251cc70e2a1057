"""Ends a command at a random time, in four ways, and checks what is left of it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from drills.project import variables

PATIENCE = 90.0  # seconds for all processes to end, on a busy machine
# Way -> signal, and whether all processes get it or the first one alone.
WAYS = {
    "SIGKILL to all": (signal.SIGKILL, True),
    "SIGTERM to all": (signal.SIGTERM, True),
    "Ctrl-C": (signal.SIGINT, True),
    "SIGKILL to the first alone": (signal.SIGKILL, False),
}


@dataclass(frozen=True)
class Killed:
    """How it ended.

    Args:
        late: It had come to its own end before.
        seconds: From the signal to the end of the last process.
        left: Processes that were still there after PATIENCE, and were ended by force.
        text: What it had written.
        status: Exit status of the first process.
    """

    late: bool
    seconds: float
    left: int
    text: str
    status: int

    @property
    def traceback(self) -> bool:
        """Whether a user would see one."""
        return "Traceback" in self.text


def kill(
    words: list[str], *, cwd: Path, way: str, moment: float, ready: Callable[[str], bool] = bool, limit: float = 600
) -> Killed:
    """Starts a command, waits until it is `ready` by what it has written, then for `moment` seconds, and ends it."""
    number, everyone = WAYS[way]
    log = cwd / "killed.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=variables(cwd),
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        ends = time.monotonic() + limit
        while process.poll() is None and not ready(_text(log)):
            if time.monotonic() > ends:
                raise TimeoutError(f"{words} was not ready after {limit:g} s")
            time.sleep(0.02)
        until = time.monotonic() + moment
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        if process.poll() is not None:
            return Killed(True, 0, 0, _text(log), process.returncode)
        family = _family(process.pid)
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if everyone else os.kill)(process.pid, number)
        left = _wait(process, family)
        seconds = time.monotonic() - began
        return Killed(False, seconds, left, _text(log), process.wait(PATIENCE))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.unlink(missing_ok=True)


def _family(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        return first.children(recursive=True)
    return []


def _wait(process: "subprocess.Popen[bytes]", family: list[psutil.Process]) -> int:
    """Waits for all to end; how many had to be forced."""
    ends = time.monotonic() + PATIENCE
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    _, left = psutil.wait_procs(family, timeout=max(0.0, ends - time.monotonic()))
    alive = [each for each in left if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    for each in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    return len(alive) + (process.poll() is None)


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")
