import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brats_cascade.evaluation.slices import EARLIER_WORK_COLUMN
from brats_cascade.labels import REGIONS
from brats_cascade.report.cohort import describe_data
from brats_cascade.report.cohort_figure import patch_figure
from brats_cascade.report.render import class_names, paired_text, render
from brats_cascade.report.sections import (
    ablation_section,
    nine_slices_table,
    paired_section,
    postprocess_section,
)

RULE = {"min_component": 50.0, "skull_distance": 0.0, "flatness": 0.0, "skull_volume": 0.0}


def part(name, *, dice, weights="slice", start=40):
    cases = pd.DataFrame({"case": list("abcdefg"), "patient": list("abcdefg"), **{f"{r}_dice": dice for r in REGIONS}})
    cases["complete_dice"] = np.linspace(dice - 0.03, dice + 0.03, 7)
    cases = cases.assign(complete_truth_cm3=10.0, complete_predicted_cm3=8.0)
    nine = pd.DataFrame({"case": "a", "slice": range(start, start + 9), "complete_f1": dice, EARLIER_WORK_COLUMN: 0.98})
    region = {"dice": dice, "hd95": 5.0}
    summary = {
        **{r: region for r in REGIONS}, "postprocess": RULE, "without_postprocess": {"complete": {"dice": 0.5, "hd95": 9.0}},
        "validation": {"dice": 0.7, "dice_without": 0.65},
    }  # fmt: skip
    run = {"architecture": "two_path", "builds_on": "data/patches", "params": {"train.class_weights": weights}}
    return {"name": name, "cases": cases, "nine_slices": nine, "summary": summary, "run": run}


PARTS = [part("first", dice=0.8), part("second", dice=0.6, weights="none")]


def test_the_nine_slices_of_all_experiments_stand_below_one_another():
    table = nine_slices_table(PARTS)
    assert table["case"] == "a" and table["slices"] == list(range(40, 49))
    assert [row["true"][0] for row in table["rows"]] == ["0.800", "0.600"]
    assert table["rows"][0]["agreement"] == ["0.980"] * 9
    assert nine_slices_table([{**PARTS[0], "nine_slices": None}]) is None


def test_the_champion_is_laid_against_the_others():
    found = paired_section("first", done=PARTS)
    assert list(found) == ["second"]
    assert paired_text(found["second"]["complete"]).startswith("+0.200 [+0.200, +0.200] p 0.0")
    assert paired_section("first", done=PARTS[:1]) == {} == paired_section(None, done=PARTS)


def test_ablation_answers_come_from_the_runs():
    section = ablation_section(PARTS)
    assert [entry["question"] for entry in section["comparisons"]] == ["Do class weights help, and which?"]
    assert section["collapses"][0]["ratio"] == pytest.approx(0.8)


def test_post_processing_shows_scores_without_and_with():
    [first, _] = postprocess_section(PARTS)
    assert first["rule"] == "removes components below 50 mm3"
    assert (first["validation"], first["complete"], first["hd95"]) == ("0.650 → 0.700", "0.500 → 0.800", "9.0 → 5.0")
    assert postprocess_section([{"name": "old", "summary": {}}]) == []


def test_a_warning_of_many_cases_is_told_once(tmp_path: Path):
    (tmp_path / "data").mkdir()
    warnings = [{"case": name, "reason": f"{name}: spacing of 2 mm"} for name in ("a", "b")]
    verdict = {"accepted": ["a", "b", "c"], "warnings": [*warnings, {"case": "c", "reason": "c: no edema"}]}
    (tmp_path / "data/verdict.json").write_text(json.dumps(verdict))
    assert describe_data(tmp_path)["warnings"] == [
        {"case": "2 cases", "reason": "spacing of 2 mm", "names": "a, b"},
        {"case": "c", "reason": "no edema", "names": ""},
    ]


def cells(project: Path) -> list[list[str]]:
    """The rows of the section's tables."""
    page = render("data.html.j2", cohort=describe_data(project))
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", page)]


def test_the_fingerprint_in_a_table(tmp_path: Path):
    assert cells(tmp_path) == []
    spread = {"min": 1.0, "median": 20.0, "max": None}
    (tmp_path / "data").mkdir()
    (tmp_path / "data/fingerprint.json").write_text(
        json.dumps(
            {
                "releases": {"brats2017": {"cases": 14}, "brats2013": {"cases": 1}},
                "shapes": {"155x240x240": 9, **{f"1x1x{size}": 1 for size in range(5)}},
                "labels": {
                    "table": [{"name": "edema", "share": 0.00913, "paper": 0.011, "cases": 14}],
                    "cases": 15,
                    "cases_with_merged_labels": 14,
                },
                "spacings": {"1x1x1": 15},
                "tumour_cm3": spread,
                "brain_fraction": spread,
                "intensities": {"flair": {"mean": spread, "p01": spread}},
            }
        )
    )
    found = cells(tmp_path)
    assert [row[1] for row in found[:3]] == [
        "brats2017 (14), brats2013 (1)", "155x240x240 (9), 1x1x0 (1), 1x1x1 (1), 1x1x2 (1) and 2 more", "1x1x1 (15)",
    ]  # fmt: skip
    assert ["edema", "0.913 %", "1.1 %", "14"] in found
    assert ["flair, mean in the brain", "1", "20", ""] in found and len(found) == 3 + 2 + 1 + 4
    assert describe_data(tmp_path)["intensities"].startswith("data:image/")
    page = render("data.html.j2", cohort=describe_data(tmp_path))
    assert "In 14 of 15 cases necrosis and non-enhancing tumour are one label" in page


def test_the_patch_sets_in_a_table_and_a_picture(tmp_path: Path):
    (tmp_path / "data/patches").mkdir(parents=True)
    counts = {"phase1": {"0": 1200, "4": 1200}, "phase2": {"0": 2300, "4": 100}}
    summary = {"classes": [0, 4], "voxel_shares": {"0": 0.98, "4": 0.02}, "counts": counts}
    (tmp_path / "data/patches/summary.json").write_text(json.dumps(summary))
    assert cells(tmp_path)[-1] == ["enhancing tumour", "2 %", "1,200", "100"]
    assert describe_data(tmp_path)["centres"].startswith("data:image/")


def test_merged_labels_are_named(tmp_path: Path):
    (tmp_path / "data/patches").mkdir(parents=True)
    counts = {"phase1": {"0": 1200, "1": 1200}}
    summary = {"classes": [0, 1], "voxel_shares": {"0": 0.98, "1": 0.02}, "counts": counts}
    (tmp_path / "data/patches/summary.json").write_text(json.dumps(summary))
    assert cells(tmp_path)[-1] == ["necrosis and non-enhancing tumour", "2 %", "1,200"]
    (legend,) = [axes.get_legend() for axes in patch_figure(counts).axes]
    assert [text.get_text() for text in legend.get_texts()] == ["everything else", "necrosis and non-enhancing tumour"]
    assert class_names((0, 1, 3))[1] == "necrosis"


def test_a_chart_that_omits_cases_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("brats_cascade.report.cohort.MOST", 2)
    (tmp_path / "data").mkdir()
    for number, words in ((2, "case."), (3, "case (the 2 cases with the largest tumours).")):
        cases = pd.DataFrame({"case": [f"c{row}" for row in range(number)], "stored": True, "tumour_cm3": 1.0, "labels": "0,2",
                              "grade": "high", "release": "a", **{f"label_{label}": 5 for label in range(5)},
                              "problem": ""})  # fmt: skip
        cases.to_parquet(tmp_path / "data/cases.parquet")
        page = render("data.html.j2", cohort=describe_data(tmp_path))
        assert f"Tumour composition per {words}</figcaption>" in page
