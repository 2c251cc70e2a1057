"""A project with three tiny stored cases, as `dvc repro patches` would leave it, for sweeps in real processes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from layouts import case_facts
from processes import MEASURED, unmeasured
from ruamel.yaml import YAML

from brats_cascade.data.store import write_case

ROOT = Path(__file__).parents[2]
SHAPE = (24, 40, 40)
SETS = {"train": ["a"], "validation": ["b"], "test": ["c"]}
TINY = {
    "width": 0.05, "maxout": 1, "tile": 16, "batch": 2, "steps": 4, "phase2_steps": 0, "checks": 2, "checkpoint_steps": 0,
}  # fmt: skip


def write_tiny_case(root: Path, name: str, *, seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = np.indices(SHAPE)
    middle = np.array(SHAPE).reshape(3, 1, 1, 1) / 2
    brain = (((grid - middle) / (middle - 2)) ** 2).sum(axis=0) <= 1
    distance = np.sqrt(((grid - middle - rng.integers(-2, 3, size=(3, 1, 1, 1))) ** 2).sum(axis=0))
    labels = np.zeros(SHAPE, np.uint8)
    labels[distance < 8] = 2
    labels[distance < 5] = 4
    labels[distance < 2] = 1
    labels[~brain] = 0
    image = rng.normal(0, 0.2, (*SHAPE, 4)).astype(np.float32)
    image[..., 0] += 3.0 * (labels > 0)
    image[..., 2] += 3.0 * (labels == 4)
    image[~brain] = 0
    meta = {"case": name, "patient": f"patient-{name}", "spacing": [1.0, 1.0, 1.0], "facts": case_facts(name)}
    write_case(root, name=name, image=image, brain=brain, labels=labels, meta=meta)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("sweep") / "data"
    for seed, name in enumerate("abc"):
        write_tiny_case(data / "volumes", name, seed=seed)
    patients = {key: [f"patient-{name}" for name in names] for key, names in SETS.items()}
    (data / "splits.json").write_text(json.dumps({**SETS, "patients": patients}))
    rng = np.random.default_rng(7)
    stored = data / "volumes" / "a"
    brain, labels = np.load(stored / "brain.npy"), np.load(stored / "labels.npy")
    places = np.argwhere(brain)
    centres = places[rng.choice(len(places), 400, replace=False)]
    table = pd.DataFrame(centres, columns=["slice", "row", "column"]).astype(np.int16)
    table.insert(0, "case", "a")
    table["label"] = labels[tuple(centres.T)]
    pd.DataFrame({"case": list("abc"), "release": "tiny"}).to_parquet(data / "cases.parquet")  # for the train stage
    (data / "patches").mkdir()
    for name in ("phase1", "phase2"):
        table.to_parquet(data / "patches" / f"{name}.parquet")
    (data / "patches" / "summary.json").write_text(json.dumps({"classes": [0, 1, 2, 4]}))
    return data


@pytest.fixture
def make_project(tmp_path: Path, tiny_data: Path) -> Callable[..., Path]:
    """make_project(space={...}, train={...}, **sweep): a project's root with its own params.yaml."""

    def make(*, space: dict[str, Any] | None = None, train: dict[str, Any] | None = None, **sweep: Any) -> Path:
        yaml = YAML()
        tree = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        tree["train"].update({**TINY, **(train or {})})
        tree["experiments"] = {"two_path": {"architecture": "two_path", "builds_on": "data/patches"}}
        ranges = {"learning_rate": {"low": 0.0001, "high": 0.01, "log": True}} if space is None else space
        tree["sweep"] = {"heartbeat": 1, "pruner": "none", **sweep, "space": ranges}
        root = tmp_path / "project"
        root.mkdir()
        with (root / "params.yaml").open("w", encoding="utf-8") as file:
            yaml.dump(tree, file)
        (root / "data").symlink_to(tiny_data)
        return root

    return make


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "brats_cascade.cli", "sweep", *words]


def environment(**changes: str) -> dict[str, str]:
    """The variables of a sweep's processes, without coverage."""
    alone = unmeasured(OMP_NUM_THREADS="1", TF_NUM_INTRAOP_THREADS="1", CUDA_VISIBLE_DEVICES="-1", **changes)
    return {
        key: value for key, value in alone.items() if key not in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "OPTUNA_STORAGE")
    }


@pytest.fixture
def sweep() -> Callable[..., subprocess.CompletedProcess[str]]:
    """sweep(root, *words): runs `brats-cascade sweep` to its end."""

    def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*words),
            cwd=root,
            env=environment(**MEASURED),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def start_sweep() -> Any:
    """start_sweep(root, *words): starts `brats-cascade sweep`; what is left at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(root: Path, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(*words), cwd=root, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
