"""How workers share a machine: a GPU each, or the processor's cores."""

import os
import shutil
import subprocess
from collections.abc import Mapping

from brats_cascade.errors import UserError

MEMORY_PER_WORKER = 2.5  # GiB; a full-width training stays below
MOST = 8  # with more workers Optuna's sampler learns little between trials


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; no library is loaded for it."""
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


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_workers(wanted: str, *, gpus: int, cores: int, memory: float) -> int:
    """Number of workers.

    Args:
        wanted: A number, or "auto": one for each GPU; without a GPU one for each core (small networks gain little from a
            second thread) as far as the memory goes, at most 8.
        gpus: GPUs at hand.
        cores: Cores at hand.
        memory: Free memory, GiB.

    Returns:
        At least 1.

    Raises:
        UserError: `wanted` is neither.
    """
    if wanted == "auto":
        return gpus or max(1, min(cores, int(memory / MEMORY_PER_WORKER), MOST))
    if not wanted.isdigit() or int(wanted) < 1:
        raise UserError(f"--workers: expected a number from 1 or auto, received {wanted!r}")
    return int(wanted)


def worker_environment(
    index: int, *, workers: int, gpus: list[str], cores: int, environment: Mapping[str, str]
) -> dict[str, str]:
    """What a worker's environment says about devices and threads; TensorFlow and JAX read it when they are imported.

    Args:
        index: Of the worker.
        workers: Their number.
        gpus: As from `visible_gpus`; workers beyond their number share them.
        cores: Cores that all workers share.
        environment: To start from; thread counts that it sets stay.

    Returns:
        The whole environment.
    """
    threads = str(max(1, cores // workers))
    own = {name: threads for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NPROC")}
    own["TF_NUM_INTEROP_THREADS"] = "1"
    kept = {name: environment[name] for name in own if name in environment}
    shared = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    device = {"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} if gpus else {}
    return {**environment, **own, **kept, **shared, **device}
