"""Where a number comes from: commit, data, machine."""

import os
import platform
import subprocess
from pathlib import Path

UNKNOWN = "unknown"


def git_commit(root: Path) -> str:
    """The checked-out commit, with `+changes` where tracked files differ from it that could change what is computed."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        # dvc.lock and docs/results are products, and `dvc exp run -S` edits params.yaml: every run logs its parameters.
        ours = [f":(top,exclude){name}" for name in ("dvc.lock", "params.yaml", "docs/results")]
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ":/", *ours)
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return f"{commit}+changes" if changed else commit


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def machine() -> str:
    """Processor, cores and memory, in one line."""
    import psutil

    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    gib = psutil.virtual_memory().total / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{processor}, {cores} cores, {gib:.0f} GiB"


def peak_memory_mb() -> float:
    """The largest resident memory that this process had so far, MB."""
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def data_hashes(root: Path) -> dict[str, str]:
    """DVC's hashes of the stages' data outputs as dvc.lock has them: path -> md5; empty without a lock file."""
    from ruamel.yaml import YAML

    lock = root / "dvc.lock"
    if not lock.is_file():
        return {}
    stages = (YAML(typ="safe").load(lock) or {}).get("stages", {})
    outs = [out for name in ("ingest", "patches") for out in stages.get(name, {}).get("outs", [])]
    return {out["path"]: out["md5"] for out in outs if "md5" in out}
