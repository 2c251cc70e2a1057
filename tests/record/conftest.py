"""A project after `dvc repro`: four experiments, three unseen cases."""

import json
from pathlib import Path

import pytest
from material import write_experiment


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_experiment(tmp_path, "one", architecture="two_path", validation=0.7)
    write_experiment(
        tmp_path, "two", architecture="input_cascade", validation=0.8, offset=-0.05, builds_on="models/one"
    )  # best on validation, not on test
    write_experiment(tmp_path, "short", architecture="input_cascade", validation=0.6)
    write_experiment(tmp_path, "plain_unet", architecture="unet", validation=0.85, offset=0.05)
    names = ("one", "two", "short", "plain_unet")
    (tmp_path / "reports/comparison.json").write_text(json.dumps({"experiments": {name: {} for name in names}}))
    splits = {
        "seed": 5, "train": ["D", "E"], "validation": ["F"], "test": ["A", "B", "C"],
        "patients": {"train": ["D"], "validation": ["F"], "test": ["A", "B", "C"]},
    }  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "data/splits.json").write_text(json.dumps(splits))
    (tmp_path / "README.md").write_text("before\n<!-- results:start -->old<!-- results:end -->\nafter\n")
    return tmp_path
