import json

import pytest

from brats_cascade.commands.results import run as results
from brats_cascade.labels import REGIONS
from brats_cascade.report.cost import cost_table
from brats_cascade.report.paper import EARLIER_WORK, EARLIER_WORK_SLICES, PAPER
from brats_cascade.report.text import comparison, results_text


def summary(*, dice, interval=True):
    scores = {"dice": dice, "dice_median": dice, "ppv": 0.5, "sensitivity": 0.6, "specificity": 0.9, "hd95": 7.0}
    if interval:
        scores |= {"dice_low": dice - 0.1, "dice_high": dice + 0.1}
    return {**{region: scores for region in REGIONS}, "cases": 4, "patients": 3}


BASELINE = {"rule": "flair above +1.50 SD", "training_dice": 0.4, "complete": {"dice": 0.41, "hd95": 30.0}}


def test_the_comparison_keeps_the_very_numbers():
    compared = comparison({"one": summary(dice=0.8), "two": summary(dice=0.7, interval=False)}, baseline=BASELINE)
    assert compared["experiments"]["one"]["core"] == {
        "dice": 0.8, "dice_low": 0.8 - 0.1, "dice_high": 0.8 + 0.1, "ppv": 0.5, "sensitivity": 0.6, "hd95": 7.0,
    }  # fmt: skip
    assert "dice_low" not in compared["experiments"]["two"]["core"]
    assert compared["baseline"] == BASELINE
    assert "baseline" not in comparison({"one": summary(dice=0.8)})


def test_the_results_text_names_every_row_and_where_to_look_next():
    text = results_text(comparison({"one": summary(dice=0.8)}, baseline=BASELINE))
    lines = text.splitlines()
    assert "over 3 test patients" in lines[0]
    assert any(line.startswith("one ") and "0.800 [0.70, 0.90]" in line for line in lines)
    assert any(line.startswith("threshold: flair above +1.50 SD") and "0.410" in line for line in lines)
    assert any("InputCascadeCNN, different patients" in line and "0.88" in line for line in lines)
    assert "reports/index.html" in text and "make ui" in text


def test_the_cost_of_a_case_stands_beside_its_dice():
    spent = {
        **{"seconds": 3.0, "peak_memory_mb": 1500.0, "dice_per_minute": 16.0},
        **{"training_seconds": 90.0, "training_cpu_seconds": 170.0},
    }
    compared = comparison({"one": summary(dice=0.8), "two": summary(dice=0.7)}, costs={"one": spent, "two": {}})
    head, one, two = cost_table(compared["experiments"])  # without columns for what was not measured: GPU, energy
    assert head == ["", "complete Dice", "s per case", "memory, GB", "Dice per min", "training, s", "training, CPU s"]
    assert one == ["one", "0.800", "3.00", "1.50", "16.00", "90", "170"]
    assert two == ["two", "0.700", "", "", "", "", ""]
    text = results_text(compared)
    assert "Cost of segmenting one test case" in text and "easured on" not in text
    assert "Cost" not in results_text(comparison({"one": summary(dice=0.8)}))


def test_a_cost_that_not_all_have_is_no_column_and_times_of_two_machines_are_said_to_be_such():
    spent = {name: {"seconds": 3.0, "training_seconds": 90.0, "machines": ["x"]} for name in ("one", "two")}
    spent["one"]["training_cpu_seconds"] = 170.0
    summaries = {name: summary(dice=0.8) for name in spent}
    text = results_text(comparison(summaries, costs=spent))
    assert "training, s" in text and "training, CPU s" not in text and "Measured on x.\n" in text
    spent["two"] |= {"machines": ["x", "y"], "training_cpu_seconds": 180.0}
    text = results_text(comparison(summaries, costs=spent))
    assert "training, CPU s" in text
    assert "different machines, whose times are not comparable: x (one); x and y (two)." in text


@pytest.mark.parametrize("changed", REGIONS)
def test_a_table_that_is_older_than_some_scores_names_the_experiments(tmp_path, changed):
    for folder in ("reports", "metrics"):
        (tmp_path / folder).mkdir()
    compared = comparison({name: summary(dice=0.8) for name in ("one", "two", "three")})
    (tmp_path / "reports/comparison.json").write_text(json.dumps(compared))
    for name, key in (
        ("one", "complete"),
        ("two", changed),
    ):  # inner_component, for example, changes only inner regions
        scores = {f"dice_{region}": 0.8 for region in REGIONS} | {f"dice_{key}": 0.8 if name == "one" else 0.9}
        (tmp_path / f"metrics/{name}.json").write_text(json.dumps(scores))
    last = results(tmp_path).splitlines()[-1]
    assert last.startswith("evaluated after this table was made: two; ") and "dvc repro compare" in last
    (tmp_path / "metrics/two.json").unlink()
    assert "evaluated after" not in results(tmp_path)


@pytest.mark.parametrize("row", PAPER, ids=lambda row: f"{row.architecture}-{row.phases}")
def test_the_papers_middle_column_is_the_ppv(row):
    for dice, ppv, sensitivity in zip(row.dice, row.ppv, row.sensitivity, strict=True):
        assert 2 * ppv * sensitivity / (ppv + sensitivity) == pytest.approx(dice, abs=0.03)


def test_the_earlier_works_table_has_a_score_for_each_slice():
    assert {len(values) for values in EARLIER_WORK.values()} == {len(EARLIER_WORK_SLICES)} == {9}
