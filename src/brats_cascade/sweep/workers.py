"""Worker processes of a sweep on this host: each has its GPU or cores, is monitored, and restarted after a kill."""

import logging
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from brats_cascade.errors import UserError
from brats_cascade.sweep.plan import Orders
from brats_cascade.sweep.worker import UNFINISHED

log = logging.getLogger(__name__)
GRACE = 10.0  # seconds that a worker has to close its run
RESTARTS = 5  # restarts of a worker without a finished trial in between; after that the problem is not the trial
MEMORY_PER_WORKER = 2.5  # GiB; enough for a full-width training
MOST = 8  # with more workers, Optuna's sampler learns little between trials
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NPROC")

# By default JAX does not cache fast compilations, but the networks start with many small ones. 2 GiB, least recently used.
KEEP_ALL = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "JAX_COMPILATION_CACHE_MAX_SIZE": str(2**31),
}


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that this process may use, by CUDA_VISIBLE_DEVICES; no library is loaded for this."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        found = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(index) for index, line in enumerate(found.stdout.splitlines()) if line.startswith("GPU ")]


def count_workers(wanted: str, *, gpus: int, cores: int, memory: float) -> int:
    """Number of workers, at least 1: `wanted`, or for "auto" one per GPU.

    Without a GPU "auto" is one per core, because small networks gain little from a second thread, at most 8 and as far as
    the free memory (GiB) allows. A UserError for anything else.
    """
    if wanted == "auto":
        return gpus or max(1, min(cores, int(memory / MEMORY_PER_WORKER), MOST))
    if not wanted.isdecimal() or int(wanted) < 1:
        raise UserError(f"--workers: expected a number from 1 or auto, received {wanted!r}")
    return int(wanted)


def worker_environments(
    workers: int, *, gpus: Sequence[str], cores: int, compiled: Path, environment: Mapping[str, str]
) -> list[dict[str, str]]:
    """The environment of each worker with its devices and threads, which TensorFlow and JAX read on import.

    Workers share GPUs if there are fewer GPUs, and all share the cores; thread counts set in `environment` are kept. JAX keeps
    compiled code in the folder `compiled`, so that trials share it, unless `environment` names another folder.
    """
    own = dict.fromkeys(THREADS, str(max(1, cores // workers))) if workers else {}
    shared = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    kept = {"JAX_COMPILATION_CACHE_DIR": str(compiled), **KEEP_ALL}
    base = {**own, **kept, "TF_NUM_INTEROP_THREADS": "1", **environment, **shared}
    return [base | ({"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} if gpus else {}) for index in range(workers)]


@dataclass
class _Worker:
    """A worker process, and the number of kills since the last finished trial."""

    environment: Mapping[str, str]
    log: Path
    process: "subprocess.Popen[bytes]"
    kills: int = 0


def run_workers(
    orders: Orders, *, environments: Sequence[Mapping[str, str]], watch: Callable[[], bool], every: float = 1.0
) -> None:
    """Starts a worker in each environment and returns when all have ended; no worker outlives this function.

    `watch` is called at regular intervals and returns whether a trial has ended since the last call.

    Raises:
        UserError: All workers failed.
    """
    orders.folder.mkdir(parents=True, exist_ok=True)
    workers: list[_Worker] = []
    problems: list[str] = []
    try:
        for index, environment in enumerate(environments):
            path = orders.folder / f"worker-{index}.log"
            workers.append(_Worker(environment, path, _start(orders, environment=environment, path=path)))
        while workers:
            time.sleep(every)
            ended = watch()
            for worker in list(workers):
                worker.kills = 0 if ended else worker.kills
                status = worker.process.poll()
                if status is not None and not _restarted(worker, status=status, orders=orders):
                    workers.remove(worker)
                    if status != 0:
                        problems.append(_last_line(worker.log, status=status))
    finally:
        for worker in workers:
            worker.process.terminate()  # closes the trial's MLflow run; the trial resumes with the sweep
        for worker in workers:
            try:
                worker.process.wait(timeout=GRACE)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
    if problems and len(problems) == len(environments):
        raise UserError(f"{orders.folder}: all workers failed; last error: {problems[-1]}")
    for problem in problems:
        log.warning("a worker failed: %s", problem)


def _restarted(worker: _Worker, *, status: int, orders: Orders) -> bool:
    """Restarts a worker that needs fresh memory, or that was killed (when memory ran out, for example)."""
    if status < 0:
        worker.kills += 1
        log.warning("%s was killed by signal %d", worker.log.stem.replace("-", " "), -status)
    if status != UNFINISHED and not (status < 0 and worker.kills <= RESTARTS):
        return False
    worker.process = _start(orders, environment=worker.environment, path=worker.log)
    return True


def _start(orders: Orders, *, environment: Mapping[str, str], path: Path) -> "subprocess.Popen[bytes]":
    with path.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "brats_cascade.sweep.worker"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,  # only the sweep gets Ctrl-C, and ends its workers
        )
    assert process.stdin is not None
    with process.stdin as pipe:  # not on the command line: the orders contain the password
        pickle.dump((os.getpid(), orders), pipe)
    return process


def _last_line(path: Path, *, status: int) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"{lines[-1] if lines else f'exit status {status}'} ({path})"
