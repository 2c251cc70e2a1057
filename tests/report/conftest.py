"""A project after `dvc repro`: a TwoPathCNN, a cascade on it and a U-Net, three test patients."""

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from brats_cascade.costs import keep_costs, scores_of, weights_of

CASES = {"A": ("high", 0.9), "B": ("high", 0.6), "C": ("low", 0.3)}
REGIONS: dict[str, object] = {region: {"dice": 0.5} for region in ("complete", "core", "enhancing")}
COMPARED = {**REGIONS, "patients": 3}
EXPERIMENTS = {
    "one": ("two_path", "data/patches", 0.7, 0.0),
    "two": ("input_cascade", "models/one", 0.8, -0.05),
    "short": ("input_cascade", "models/one", 0.6, 0.1),
    "plain": ("unet", "data/patches", 0.85, 0.05),
}


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def case_table(offset: float) -> pd.DataFrame:
    rows = []
    for case, (grade, dice) in CASES.items():
        row = {"case": case, "patient": case, "grade": grade}
        for region in ("complete", "core", "enhancing"):
            scores = {"dice": dice + offset, "ppv": 0.9, "sensitivity": dice, "specificity": 0.99, "hd95": 12.5}
            row |= {f"{region}_{score}": value for score, value in scores.items()}
        rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, (architecture, builds_on, validation, offset) in EXPERIMENTS.items():
        facts = {
            "architecture": architecture, "builds_on": builds_on, "labelled_pixels": 2_500_000, "release": "brats2017",
            "classes": [0, 1, 2, 4], "data_hashes": {"data/volumes": "123"},
        }  # fmt: skip
        write_json(tmp_path / f"models/{name}/record.json", facts)
        write_json(tmp_path / f"models/{name}/model.json", {"n4": False, "clip": 0.01})
        (tmp_path / f"models/{name}/model.keras").write_text(name)
        costs = {"seconds": 90.0, "machine": "a processor, 2 cores, 24 GiB", "git_commit": "abc"}
        keep_costs(tmp_path, name=name, what="training", result=weights_of(tmp_path, name=name), costs=costs)
        write_json(tmp_path / f"metrics/{name}/summary.json", {**REGIONS, "validation": {"dice": validation}})
        case_table(offset).to_csv(tmp_path / f"metrics/{name}/cases.csv", index=False)
        seconds = {"seconds": dict.fromkeys(CASES, 3.5)}
        keep_costs(tmp_path, name=name, what="evaluation", result=scores_of(tmp_path, name=name), costs=seconds)
        picture = tmp_path / f"reports/figures/{name}/median_overlay.png"
        picture.parent.mkdir(parents=True)
        Image.new("RGB", (1800, 900)).save(picture)
    write_json(tmp_path / "reports/comparison.json", {"experiments": dict.fromkeys(EXPERIMENTS, COMPARED)})
    write_json(
        tmp_path / "data/splits.json",
        {
            **{"train": ["D", "E"], "validation": ["F"], "test": [*CASES]},
            "patients": {"train": ["D", "E"], "validation": ["F"], "test": [*CASES]},
        },
    )
    (tmp_path / "README.md").write_text("before\n<!-- results-mine:start -->old<!-- results-mine:end -->\nafter\n")
    return tmp_path
