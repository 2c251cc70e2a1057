"""The worker processes of a sweep on this host: started, watched, started again after a kill, ended."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from brats_cascade.errors import UserError
from brats_cascade.sweep.worker import AGAIN

log = logging.getLogger(__name__)
GRACE = 10.0  # seconds in which a worker that was told to end closes its run
RESTARTS = 5  # of one worker, after kills between which no trial has ended: something else than a trial is wrong


@dataclass
class _Worker:
    index: int
    process: subprocess.Popen[bytes]
    log: Path
    kills: int = 0


class Crew:
    """The worker processes of a sweep on this host.

    Args:
        orders: As `worker.work` takes them, without `pid`.
        environments: One per worker.
        folder: For their logs.
    """

    def __init__(self, orders: Mapping[str, Any], *, environments: Sequence[Mapping[str, str]], folder: Path) -> None:
        self._orders, self._environments, self._folder = orders, environments, folder
        self._workers: list[_Worker] = []

    def run(self, *, watch: Callable[[], bool], every: float = 1.0) -> None:
        """Starts the workers and returns when all have ended; on the way out none is left, whatever happens.

        Args:
            watch: Called again and again; says whether a trial has ended since the last call.
            every: Seconds between calls.

        Raises:
            UserError: No worker could go on.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        problems: list[str] = []
        try:
            for index in range(len(self._environments)):
                path = self._folder / f"worker-{index}.log"
                self._workers.append(_Worker(index, self._start(index, path=path), path))
            while self._workers:
                time.sleep(every)
                if watch():
                    for worker in self._workers:
                        worker.kills = 0
                for worker in list(self._workers):
                    status = worker.process.poll()
                    if status is not None and not self._goes_on(worker, status=status):
                        self._workers.remove(worker)
                        if status != 0:
                            problems.append(_last_words(worker.log, status=status))
        finally:
            for worker in self._workers:
                worker.process.terminate()  # closes the trial's MLflow run; the trial goes on when the sweep does
            for worker in self._workers:
                _end(worker.process)
        if problems and len(problems) == len(self._environments):
            raise UserError(f"{self._folder}: every worker ended early; the last one said: {problems[-1]}")
        for problem in problems:
            log.warning("a worker ended early: %s", problem)

    def _goes_on(self, worker: _Worker, *, status: int) -> bool:
        """Starts a worker again that wants fresh memory, or that was killed (by a full memory, say)."""
        if status < 0:
            worker.kills += 1
            log.warning("worker %d was killed by signal %d", worker.index, -status)
        if status != AGAIN and not (status < 0 and worker.kills <= RESTARTS):
            return False
        worker.process = self._start(worker.index, path=worker.log)
        return True

    def _start(self, index: int, *, path: Path) -> "subprocess.Popen[bytes]":
        with path.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "brats_cascade.sweep.worker"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(self._environments[index]),
                start_new_session=True,  # Ctrl-C reaches the sweep alone, which ends its workers
            )
        pipe: IO[bytes] | None = process.stdin
        assert pipe is not None
        with pipe:  # the storage's password is in it, and command lines are for all to see
            pipe.write(json.dumps({**self._orders, "pid": os.getpid()}).encode())
        return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Waits for a process that was told to end, and ends it if it does not."""
    try:
        process.wait(timeout=GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(path: Path, *, status: int) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"{lines[-1] if lines else f'exit status {status}'} ({path})"
