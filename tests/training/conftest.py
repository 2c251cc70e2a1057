"""A tiny cohort whose labels can be read off the intensities."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from layouts import case_facts
from ruamel.yaml import YAML

from brats_cascade.data.store import write_case
from brats_cascade.training.batches import TrainingCase

ROOT = Path(__file__).parents[2]
SHAPE = (4, 40, 44)
TINY = {
    "width": 0.06, "tile": 12, "batch": 2, "steps": 60, "phase2_steps": 20, "checks": 2, "checkpoint_steps": 5,
    "normalisation": "dropout", "dropout": 0.2, "optimizer": "sgd", "learning_rate": 0.005, "schedule": "exponential",
}  # fmt: skip


@pytest.fixture
def make_case() -> Callable[..., TrainingCase]:
    """make_case(name, seed=0, shape=SHAPE): a brain with a round tumour of the labels 2 and 4."""
    return _make_case


def _make_case(name: str, *, seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> TrainingCase:
    rng = np.random.default_rng(seed)
    layers, rows, columns = shape
    grid = np.indices((rows, columns))
    middle = np.array([rows, columns]).reshape(2, 1, 1) / 2
    disc = (((grid - middle) / (middle - 3)) ** 2).sum(axis=0) <= 1
    brain = np.repeat(disc[None], layers, axis=0)
    brain[0] = False
    labels = np.zeros(shape, np.uint8)
    for layer in range(1, layers):
        centre = middle[:, 0, 0] + rng.integers(-5, 6, size=2)
        distance = np.hypot(*(grid - centre.reshape(2, 1, 1)))
        labels[layer][distance < 7] = 2
        labels[layer][distance < 4] = 4
    labels[~brain] = 0
    image = rng.normal(0, 0.3, (*shape, 4)).astype(np.float32)
    image[..., 0] += np.isin(labels, (2, 4)) * 2.0
    image[..., 2] += (labels == 4) * 3.0
    image[~brain] = 0
    return TrainingCase(name, image, brain, labels)


@pytest.fixture
def cohort() -> list[TrainingCase]:
    return [_make_case("a", seed=1), _make_case("b", seed=2)]


@pytest.fixture
def draw_centres() -> Callable[..., pd.DataFrame]:
    """draw_centres(cases, count, seed=0, equal=False): distinct brain pixels as a patch set."""
    return _draw_centres


def _draw_centres(cases: list[TrainingCase], *, count: int, seed: int = 0, equal: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    tables = []
    for case in cases:
        places = np.argwhere(case.brain)
        labels = case.labels[case.brain]
        tables.append(
            pd.DataFrame(places, columns=["slice", "row", "column"])
            .astype(np.int16)
            .assign(case=case.name, label=labels)
        )
    table = pd.concat(tables, ignore_index=True)
    if not equal:
        return table.iloc[rng.choice(len(table), size=count, replace=False)].reset_index(drop=True)
    share = count // table["label"].nunique()
    parts = [part.iloc[rng.permutation(len(part))[:share]] for _, part in table.groupby("label")]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def make_project(tmp_path: Path, make_case, draw_centres):
    """make_project(name): a folder in which `train` can run, with three stored cases; always the same."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        cases = [make_case(letter, seed=seed) for seed, letter in enumerate("abc")]
        for case in cases:
            meta = {"case": case.name, "offset": [0, 0, 0], "shape": list(case.brain.shape), "spacing": [1.0, 1.0, 1.0]}
            meta |= {"affine": np.eye(4).tolist(), "scheme": "five"}
            meta["facts"] = case_facts(case.name)
            write_case(
                folder / "data/volumes",
                name=case.name,
                image=case.image,
                brain=case.brain,
                labels=case.labels,
                meta=meta,
            )
        (folder / "data/patches").mkdir(parents=True)
        splits = {"train": ["a", "b"], "validation": ["c"], "test": ["c"]}
        (folder / "data/splits.json").write_text(json.dumps(splits))
        (folder / "data/patches/summary.json").write_text(json.dumps({"classes": [0, 1, 2, 3, 4]}))
        for number, part in enumerate(("phase1", "phase2")):
            table = draw_centres(cases[:2], count=200, seed=number, equal=number == 0)
            table.to_parquet(folder / f"data/patches/{part}.parquet")
        pd.DataFrame({"release": ["brats2013"] * 3}).to_parquet(folder / "data/cases.parquet")
        yaml = YAML(typ="safe")
        tree = yaml.load(ROOT / "params.yaml")
        tree["train"].update(TINY)
        tree["experiments"] = {
            "two_path": {"architecture": "two_path", "builds_on": "data/patches"},
            "mf_cascade": {"architecture": "mf_cascade", "builds_on": "models/two_path"},
        }
        yaml.dump(tree, folder / "params.yaml")
        return folder

    return make
