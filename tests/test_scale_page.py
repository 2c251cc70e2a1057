"""docs/scale.md: its figures are those of the benchmarks' records, and a cohort's costs are theirs times its cases."""

import shutil

from benchmarks.scale_page import PAGE, cohorts, write_page
from tiny import ROOT


def test_the_page_holds_what_the_benchmarks_measured(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    copy = shutil.copy(PAGE, tmp_path / "scale.md")
    write_page(copy)
    assert copy.read_text() == PAGE.read_text(), "run: python -m benchmarks.scale_page"


def test_a_cohort_costs_the_seconds_of_a_case_times_its_cases() -> None:
    growth = [
        {"work": work, "processes": processes, "cases": cases, "seconds a case": seconds}
        for work, seconds in (("ingest", 0.36), ("draw 200,000 centres", 0.018))
        for processes, cases in ((1, 1), (1, 14), (2, 14))
    ]
    tiles = {"precision": "bfloat16", "sampler": "tiles", "labelled pixels a side": 64, "XLA": "no"}
    records = {
        "growth": growth,
        "case": [{"precision": "float32", "seconds": 99}, {"precision": "bfloat16", "seconds": 8.64}],
        "training": [{**tiles, "labelled pixels per second": 8192}, {**tiles, "XLA": "yes"}],
    }
    found = {row["work"]: row for row in cohorts(records)}
    assert found["ingest"]["1,000 cases"] == "6.0 min" and found["ingest"]["100,000 cases"] == "10 h"
    assert found["ingest"]["from"] == "`growth`, 14 cases"
    assert found["training TwoPathCNN, every case seen once"]["s per case"] == 10
    assert found["prediction, InputCascadeCNN in bfloat16"]["10,000 cases"] == "24 h"
    assert found["store, data/volumes"]["1,000 cases"] == "59 GB"
