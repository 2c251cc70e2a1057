"""Records the origin of a number: commit, data, machine and software, without names of hosts or users and without paths."""

import contextlib
import hashlib
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import reduce
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

import brats_cascade
from brats_cascade.errors import UserError, one_line

UNKNOWN = "unknown"
# Flags in /proc/cpuinfo, widest first; `bf16` and `asimd` are for Arm.
ARITHMETIC = {
    "amx_bf16": "AMX bfloat16", "avx512_bf16": "AVX-512 bfloat16", "avx512f": "AVX-512", "avx2": "AVX2",
    "bf16": "Neon bfloat16", "asimd": "Neon",
}  # fmt: skip

ENVIRONMENT = "environment.json"
PACKAGES = (
    "brats-cascade", "keras", "tensorflow", "jax", "jaxlib", "jax-cuda12-plugin", "nvidia-cudnn-cu12", "nvidia-cublas-cu12",
    "numpy", "scipy", "pandas", "pyarrow", "nibabel", "SimpleITK", "joblib", "mlflow", "dvc", "optuna",
)  # fmt: skip


def git_commit(root: Path) -> str:
    """The checked-out commit, with `+changes` if tracked files that may affect results were changed."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        # These are outputs, except params.yaml, which `dvc exp run -S` edits; every run logs its parameters.
        ours = [f":(top,exclude){name}" for name in ("dvc.lock", "params.yaml", "metrics", "docs/results")]
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ":/", *ours)
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return f"{commit}+changes" if changed else commit


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def code_digest(sources: Iterable[str]) -> str:
    """A hash of the given modules and packages of this project, paths below brats_cascade: 64 hexadecimal digits."""
    package, digest = Path(brats_cascade.__path__[0]), hashlib.sha256()
    for source in sources:
        path = package / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(package).as_posix()} ".encode() + file.read_bytes())
    return digest.hexdigest()


def machine() -> str:
    """The CPU with its widest arithmetic, cores, memory, and the GPUs in use, on one line."""
    info = Path("/proc/cpuinfo")
    named = processor_of(info.read_text()) if info.is_file() else ""
    gib, cores = psutil.virtual_memory().total / 2**30, usable_cores()
    parts = [named or platform.processor() or platform.machine(), f"{cores} core{'s' * (cores != 1)}", f"{gib:.0f} GiB"]
    return ", ".join([*parts, *sorted(set(accelerators()))])


def versions(names: Iterable[str]) -> dict[str, str]:
    """The versions of the given packages, if installed."""
    found = {}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def environment(*, backend: str, precision: str, commit: str) -> dict[str, Any]:
    """The versions of Python and the main packages, CPU and GPUs, Keras's backend, precision and commit."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "packages": versions(PACKAGES),
        "machine": machine(),
        "backend": backend,
        "precision": precision,
        "git_commit": commit,
    }


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def accelerators() -> list[str]:
    """The names of the GPUs on which Keras computes in this process; a backend that is not loaded is not asked."""
    return [name for name, _ in gpus()]


def gpus() -> list[tuple[str, str]]:
    """Name and CUDA compute capability, such as "9.0", of the same; "" for a device without one."""
    jax, tensorflow = (sys.modules.get(name) for name in ("jax", "tensorflow"))
    if os.environ.get("KERAS_BACKEND") == "jax" and jax:
        found = [device for device in jax.local_devices() if device.platform != "cpu"]
        return [(str(device.device_kind), str(getattr(device, "compute_capability", ""))) for device in found]
    if tensorflow:
        config = tensorflow.config
        details = map(config.experimental.get_device_details, config.list_physical_devices("GPU"))
        return [
            (str(device.get("device_name", "GPU")), ".".join(map(str, device.get("compute_capability", ()))))
            for device in details
        ]
    return []


def card_of(machine: str) -> str:
    """The GPUs in the output of `machine`, or ""."""
    return machine.partition(" GiB, ")[2]


def processor_of(cpuinfo: str) -> str:
    """The name of the first CPU in /proc/cpuinfo, and its widest arithmetic in ARITHMETIC; "" without a name.

    CPUs with the same name may differ greatly in speed: without native bfloat16, it is many times slower.
    """
    fields, flags = _fields_of(cpuinfo), flags_of(cpuinfo)
    widest = next((shown for flag, shown in ARITHMETIC.items() if flag in flags), "")
    name = fields.get("model name", "")
    return f"{name} with {widest}" if name and widest else name


def flags_of(cpuinfo: str) -> set[str]:
    """The instruction sets of the first CPU in /proc/cpuinfo."""
    fields = _fields_of(cpuinfo)
    return set(fields.get("flags", fields.get("Features", "")).split())


def _fields_of(cpuinfo: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for key, _, value in (line.partition(":") for line in cpuinfo.splitlines()):
        fields.setdefault(key.strip(), value.strip())
    return fields


def peak_memory_mb() -> float:
    """The largest resident memory of this process so far, MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def data_hashes(root: Path) -> dict[str, str]:
    """DVC's hashes of the stages' data outputs in dvc.lock: path -> md5; empty without a lock file."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    lock = root / "dvc.lock"
    if not lock.is_file():
        return {}
    try:
        stages = (YAML(typ="safe").load(lock) or {}).get("stages", {})
        outs = [out for name in ("ingest", "split", "patches") for out in stages.get(name, {}).get("outs", [])]
        return {str(out["path"]): str(out["md5"]) for out in outs if "md5" in out}
    except (YAMLError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise UserError(
            f"{lock} is damaged ({one_line(error)[:120]}), as by a merge: `git checkout HEAD -- dvc.lock`, then `dvc repro`"
        ) from None


def is_current(stage: str, *, stages: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Whether dvc.lock has a stage with these parameters, based on outputs of earlier stages with these parameters."""
    noted = stages.get(stage, {}).get("params", {}).get("params.yaml", {})
    now = {key: reduce(_get, key.split("."), params) for key in noted}
    makers = {out["path"]: (name, out["md5"]) for name, made in stages.items() for out in made.get("outs", [])}
    deps = [dep for dep in stages.get(stage, {}).get("deps", []) if dep["path"] in makers]
    needed = [(dep["md5"], *makers[dep["path"]]) for dep in deps]
    inputs = (md5 == made and is_current(name, stages=stages, params=params) for md5, name, made in needed)
    return stage in stages and now == noted and all(inputs)


def _get(tree: Any, key: str) -> Any:
    return tree.get(key) if isinstance(tree, Mapping) else None
