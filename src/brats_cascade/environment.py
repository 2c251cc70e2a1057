"""What a network was trained in: software, machine and precision; no name of a host or a user, and no path."""

import contextlib
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from brats_cascade import provenance

FILE = "environment.json"
PACKAGES = (
    "brats-cascade", "keras", "tensorflow", "jax", "jaxlib", "jax-cuda12-plugin", "nvidia-cudnn-cu12", "nvidia-cublas-cu12",
    "numpy", "scipy", "pandas", "pyarrow", "nibabel", "SimpleITK", "joblib", "mlflow", "dvc", "optuna",
)  # fmt: skip


def versions(names: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def environment(*, backend: str, precision: str, commit: str) -> dict[str, Any]:
    """The versions of Python and of the packages that matter, processor and GPUs, Keras's backend, precision and commit."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "packages": versions(PACKAGES),
        "machine": provenance.machine(),
        "backend": backend,
        "precision": precision,
        "git_commit": commit,
    }
