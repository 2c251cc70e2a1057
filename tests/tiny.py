"""A copy of the project with a tiny cohort and tiny networks, and commands that run in it as a user runs them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from processes import unmeasured

from brats_cascade.params.file import read_tree, write_params

ROOT = Path(__file__).parents[1]
FILES = ("params.yaml", "dvc.yaml", ".gitignore", ".dvcignore")
FOLDERS = ("pipelines", "src", "conf", ".dvc")
TINY: dict[str, dict[str, Any]] = {
    "phantom": {"patients": 5, "high_grade": 3, "spacing": 4.0},
    "split": {"validation": 1, "test": 1},
    "patches": {"phase1": 2000, "phase2": 2000},
    "train": {"width": 0.05, "tile": 16, "batch": 2, "steps": 6, "phase2_steps": 3, "checks": 1},
}
LEARNING = {
    "width": 0.1,
    "tile": 32,
    "batch": 4,
    "steps": 24,
    "phase2_steps": 4,
    "checks": 2,
}  # enough to score above 0
EXPERIMENTS = ("two_path", "input_cascade")
WHO = {f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def environment(**changes: str) -> dict[str, str]:
    """The variables that a command of the project runs with: this Python first in PATH, nothing of the user's git.

    Without coverage: test_pipeline.py measures all stages in one process.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in unmeasured().items() if name not in ("MLFLOW_TRACKING_URI", "DVC_ROOT")}
    return {**kept, "PATH": path, "DVC_NO_ANALYTICS": "true", "GIT_CONFIG_GLOBAL": os.devnull, **WHO, **changes}


def shell(project: Path, *words: str, status: int = 0, **changes: str) -> str:
    """Runs a command in the project's folder and returns what it writes, errors included."""
    done = subprocess.run(
        words, cwd=project, env=environment(**changes), capture_output=True, text=True, timeout=500
    )  # fmt: skip
    assert done.returncode == status, f"{' '.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def dvc(project: Path, *words: str, status: int = 0) -> str:
    """Runs a DVC command."""
    return shell(project, "dvc", *words, status=status)


def git(project: Path, *words: str) -> str:
    """Runs a git command."""
    return shell(project, "git", *words)


def change(project: Path, **blocks: Mapping[str, Any]) -> None:
    """Changes keys of params.yaml: change(project, train={"l2": 0.1})."""
    tree = read_tree(project / "params.yaml", editable=True)
    for name, values in blocks.items():
        tree[name].update(values)
    write_params(project / "params.yaml", tree)


def make_project(folder: Path, *, experiments: Mapping[str, Any], **blocks: Mapping[str, Any]) -> Path:
    """Makes a git and DVC project of the files of this one, tiny and committed; nothing of it has run.

    Args:
        folder: Where; it may exist.
        experiments: Name -> entry, in place of the shipped ones; None takes the shipped entry of that name.
        blocks: Keys of params.yaml that differ from TINY's.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    for name in FOLDERS:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "tmp", "cache", "*.local")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    change(folder, **TINY)
    change(folder, **blocks)
    tree = read_tree(folder / "params.yaml", editable=True)
    tree["experiments"] = {
        name: tree["experiments"][name] if entry is None else entry for name, entry in experiments.items()
    }
    write_params(folder / "params.yaml", tree)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "start")
    return folder


def finished_project(factory: pytest.TempPathFactory) -> Path:
    """A project that DVC has run and git holds, made once for all processes of the tests; a test works on a copy of its own."""
    base = factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished"
    with FileLock(place.with_suffix(".lock")):
        if not (place / "done").is_file():
            shutil.rmtree(place, ignore_errors=True)
            project = make_project(place / "project", experiments=dict.fromkeys(EXPERIMENTS), train=LEARNING)
            dvc(project, "repro")
            git(project, "add", "-A")
            git(project, "commit", "-qm", "results")
            (place / "done").touch()
    return place / "project"
