"""brats-cascade doctor: reports what is installed, and problems with the installation and the project."""

import configparser
import os
import platform
import shutil
from pathlib import Path

from brats_cascade import provenance
from brats_cascade.commands.wheel import PARAMS, elsewhere, version
from brats_cascade.errors import UserError

PACKAGES = (
    "tensorflow", "keras", "jax", "mlflow", "dvc", "optuna", "great-expectations", "nibabel", "SimpleITK", "numpy",
)  # fmt: skip
NEEDED_GIB = 5
NO_BACKEND = "none"


def run(root: Path) -> int:
    """Prints the installation and its problems; returns the number of problems."""
    problems: list[str] = []
    print(f"brats-cascade       {version()}")
    print(f"python              {platform.python_version()}")
    print(f"machine             {provenance.machine()}")
    installed = provenance.versions(PACKAGES)
    for package in PACKAGES:
        absent = "not installed (optional)" if package == "jax" else "NOT INSTALLED: run make setup, or pip install it"
        print(f"{package:<20}{installed.get(package, absent)}")
    backend = _backend(problems)
    print(f"backend             {backend}")
    if backend != NO_BACKEND:
        print(f"precision           {_precision()}")
    free = shutil.disk_usage(root).free / 2**30
    print(f"free disk           {free:.0f} GiB")
    if free < NEEDED_GIB and (root / PARAMS).is_file():  # elsewhere no pipeline runs
        problems.append(f"{root}: {free:.1f} GiB free, the pipeline needs {NEEDED_GIB}; free some space")
    try:
        _project(root, problems)
    except UserError as error:
        problems.append(str(error))
    for problem in problems:
        print(f"problem: {problem}")
    print(f"{len(problems)} problem{'' if len(problems) == 1 else 's'} found" if problems else "all checks passed")
    return len(problems)


def _backend(problems: list[str]) -> str:
    from brats_cascade.backend import start_backend

    try:
        start_backend()
        import keras

        return f"{keras.backend.backend()}, devices: {', '.join(keras.distribution.list_devices())}"
    except UserError as error:
        problems.append(str(error))
    except (ImportError, RuntimeError, ValueError) as error:
        given = os.environ.get("KERAS_BACKEND", "")
        problems.append(f"Keras cannot start its backend ({error}); check KERAS_BACKEND={given}")
    return NO_BACKEND


def _precision() -> str:
    """What precision `auto` is on this device."""
    from brats_cascade.precision import AUTO, settled

    found = settled(AUTO)
    return (
        f"{AUTO} is {found}: this device {'computes in' if found == 'bfloat16' else 'does not have'} bfloat16 natively"
    )


def versioning(root: Path, problems: list[str]) -> str:
    """Whether git versions the project, on one line. It is a problem if not, unless DVC is configured for this."""
    if (root / ".git").exists():
        return f"git, commit {provenance.git_commit(root)}"
    config = configparser.ConfigParser(interpolation=None)
    config.read([root / ".dvc" / "config", root / ".dvc" / "config.local"], encoding="utf-8")
    if config.get("core", "no_scm", fallback="false").lower() == "true":
        return "no git: `dvc repro` works; `dvc exp`, `dvc metrics diff` and `dvc plots diff` do not"
    problems.append(
        f"{root}: no git repository (a ZIP download?), so DVC does not work; run `git init && git add -A && "
        "git commit -m start`, or `dvc config --local core.no_scm true` to work without versions and without `dvc exp`"
    )
    return "none"


def _project(root: Path, problems: list[str]) -> None:
    from brats_cascade.data.cases import find_cases
    from brats_cascade.params import load_params

    if not (root / PARAMS).is_file():
        print(f"project             none: no {PARAMS} here; {elsewhere()}")
        return
    params = load_params(root / PARAMS)
    print(f"versions            {versioning(root, problems)}")
    source = root / params.data.source
    if params.data.source == "data/raw/phantom" and not source.exists():
        print(f"data source         {params.data.source} (the built-in phantom cohort; created by `dvc repro`)")
        return
    cases = find_cases(source, layout=params.data.layout, from_params=True)
    releases = sorted({case.release for case in cases})
    print(f"data source         {params.data.source}: {len(cases)} cases, {', '.join(releases)}")
    problems += [problem for case in cases for problem in case.problems]
