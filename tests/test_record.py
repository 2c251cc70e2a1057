"""The page of results: every number comes from the files of the run."""

import json
from pathlib import Path

import pytest
from PIL import Image

from brats_cascade.commands.record import run
from brats_cascade.errors import UserError


def _project(root: Path) -> None:
    scores = {"dice": 0.8765, "dice_low": 0.8, "dice_high": 0.9, "ppv": 0.7, "sensitivity": 0.6, "hd95": 12.3}
    regions = {region: scores for region in ("complete", "core", "enhancing")}
    files = {
        "metrics/comparison.json": {"experiments": {"one": {**regions, "patients": 3}}},
        "models/one/run.json": {
            "git_commit": "abc", "machine": "a computer", "release": "brats2017", "seconds": 90, "labelled_pixels": 2.5e6,
            "params": {"data.source": "scans"}, "data_hashes": {"data/volumes": "123"},
        },
    }  # fmt: skip
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(content))
    (root / "metrics/one").mkdir()
    (root / "metrics/one/cases.csv").write_text(
        "case,grade,complete_dice,core_dice,enhancing_dice,complete_hd95,seconds\nA,high,0.5,0.25,0.125,7,3.5\n"
    )
    for rank in ("best", "median", "worst"):
        path = root / f"reports/figures/one/{rank}_overlay.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (1800, 900)).save(path)
    (root / "README.md").write_text("before\n<!-- results:start -->old<!-- results:end -->\nafter\n")


def test_the_page_and_the_readme_show_the_runs_numbers(tmp_path: Path) -> None:
    _project(tmp_path)
    page = run("real", root=tmp_path, command="dvc repro", readme=True)
    text, readme = page.read_text(), (tmp_path / "README.md").read_text()
    parts = ["| one | 0.876 [0.80, 0.90] |", "1.5 min", "2.5 M", "commit abc", "a computer", "data/volumes 123", "CC BY-NC-SA"]
    for part in parts:
        assert part in text, part
    assert "| one | A | high | 0.500 | 0.250 | 0.125 | 7.0 | 3.5 |" in text
    assert readme.startswith("before\n") and readme.endswith("\nafter\n") and "old" not in readme
    assert "0.876 [0.80, 0.90]" in readme and "docs/results/real_one_median.jpg" in readme
    with Image.open(tmp_path / "docs/results/real_one_median.jpg") as picture:
        assert picture.size == (900, 450)


def test_without_results_the_cure_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `dvc repro` first"):
        run("real", root=tmp_path, command="", readme=False)
