"""A tiny project that has run once, undisturbed and without a network, for comparison with the results of the drills."""

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from filelock import FileLock
from ruamel.yaml import YAML

from drills import ROOT
from drills.common import WORK
from drills.isolation import alone

EXPERIMENTS = ("two_path", "input_cascade")
TRAIN = {"width": 0.1, "tile": 32, "batch": 4, "steps": 16, "phase2_steps": 4, "checks": 2, "checkpoint_steps": 1}
SWEEP = {"heartbeat": 1, "pruner": "none", "space": {"learning_rate": {"low": 0.0001, "high": 0.01, "log": True}}}
DRAFT = re.compile(r"\.\d+\.[0-9a-f]{8}_")
WATCHED = Path(__file__).parent / "watched"  # holds a sitecustomize.py that notes connections


def quiet() -> Path:
    """The project, made once for this state of the sources."""
    WORK.mkdir(parents=True, exist_ok=True)
    place = WORK / f"quiet-{_state()}"
    with FileLock(place.with_suffix(".lock")):
        if not (place / "done.json").is_file():
            shutil.rmtree(place, ignore_errors=True)
            project = new_project(place / "project")
            began = time.monotonic()
            prefix = alone("net")
            asked = place / "asked.txt"
            text, status = run([*(prefix or []), "dvc", "repro"], cwd=project, timeout=3600, **watched(asked))
            if status:
                raise RuntimeError(f"the undisturbed run ended with {status}:\n{text}")
            done = {"seconds": time.monotonic() - began, "isolated": prefix is not None, "asked": asked_for(asked)}
            (place / "done.json").write_text(json.dumps(done), encoding="utf-8")
    return place / "project"


def quiet_facts() -> dict[str, Any]:
    """How the undisturbed run went: seconds, whether without a network, the addresses that were asked for."""
    return dict(json.loads((quiet().parent / "done.json").read_text(encoding="utf-8")))


def new_project(folder: Path) -> Path:
    """The same project, of which nothing has run."""
    from tiny import make_project

    return make_project(
        folder, experiments=dict.fromkeys(EXPERIMENTS), train=TRAIN, sweep={**SWEEP, "experiment": "two_path"}
    )


def copy_of(project: Path, folder: Path) -> Path:
    """A copy without DVC's cache, for stages that are run by hand."""
    left_out = shutil.ignore_patterns("cache", "tmp", ".git")
    return Path(shutil.copytree(project, folder, symlinks=True, ignore=left_out, dirs_exist_ok=True))


def _state() -> str:
    """Stands for the sources."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in ("src", "pipelines") for path in (ROOT / folder).rglob("*.py")):
        digest.update(path.read_bytes())
    digest.update(json.dumps([EXPERIMENTS, TRAIN, SWEEP]).encode())
    return digest.hexdigest()[:12]


def variables(project: Path, **changes: str) -> dict[str, str]:
    """Of the processes of a drill: this Python, and the project's own copy of the sources, which nobody edits meanwhile."""
    from tiny import environment

    source = str(project / "src") if (project / "src").is_dir() else ""
    fixed = {"PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    path = f"{WATCHED}{os.pathsep}{source}" if "DRILL_ASKED" in changes else source
    return environment(**{**fixed, "PYTHONPATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", **changes})


def watched(asked: Path) -> dict[str, str]:
    """Variables with which every Python process notes the addresses that it asks for."""
    return {"DRILL_ASKED": str(asked)}


def asked_for(path: Path) -> list[str]:
    """The addresses that were noted, each once."""
    return sorted(set(path.read_text(encoding="utf-8").splitlines())) if path.is_file() else []


def run(words: list[str], *, cwd: Path, timeout: float = 900, **changes: str) -> tuple[str, int]:
    """What a command writes, and its exit status."""
    done = subprocess.run(
        words, cwd=cwd, env=variables(cwd, **changes), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout
    )
    return done.stdout.decode(errors="replace"), done.returncode


def stage(name: str, *, python: str = sys.executable) -> list[str]:
    """The command of a stage, as dvc.yaml has it."""
    return [python, f"pipelines/{name.split('@')[0]}.py", *name.split("@")[1:]]


def outs_of(project: Path) -> dict[str, dict[str, str]]:
    """Stage -> its outputs and their hashes, as DVC has noted them; in the order of the pipeline."""
    stages = YAML(typ="safe").load(project / "dvc.lock")["stages"]
    order = ("phantom", "ingest", "validate", "split", "patches")
    names = [*order, *(f"{kind}@{name}" for kind in ("train", "evaluate") for name in EXPERIMENTS), "compare"]
    return {name: {out["path"]: out["md5"] for out in stages[name]["outs"]} for name in names if name in stages}


def seconds_of(project: Path, name: str) -> float:
    """How long the stage took in this project."""
    note = project / ".work/cost" / f"{name.replace('@', '-')}.json"
    return float(json.loads(note.read_text(encoding="utf-8"))["seconds"])


def differing(project: Path, *, like: Path, outs: list[str]) -> list[str]:
    """Files of these outputs that are not the same in both projects."""
    found = set()
    for out in outs:
        for root in (project, like):
            for path in (root / out, *(root / out).rglob("*")):
                if path.is_file():
                    found.add(path.relative_to(root))
    return [str(path) for path in sorted(found) if _bytes(project / path) != _bytes(like / path)]


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def run_states(project: Path, *, name: str = "%") -> dict[str, int]:
    """How many of MLflow's runs, all or those of a name, are in which state."""
    database = project / "mlflow.db"
    if not database.is_file():
        return {}
    with sqlite3.connect(database) as connection:
        query = "select status, count(*) from runs where name like ? group by status"
        return dict(connection.execute(query, [name]))


def drafts_in(project: Path) -> list[str]:
    """Unfinished files that were left behind."""
    return sorted(str(path.relative_to(project)) for path in project.rglob(".*") if DRAFT.match(path.name))
