import pandas as pd
import pytest

from brats_cascade.labels import REGIONS
from brats_cascade.report.sections import Experiment, collapses, comparisons, differing_factors, settled

BASE = {"architecture": "two_path", "builds_on": "data/patches", "normalisation": "batch", "dropout": 0.2,
        "class_weights": "slice", "phase2_steps": 80, "pooling": "max", "seed": 1, "precision": "float32"}  # fmt: skip


def experiment(name, *, dice=0.8, found=9.0, **changed):
    cases = pd.DataFrame({"case": list("abc"), "patient": list("abc"), **{f"{r}_dice": dice for r in REGIONS}})
    cases = cases.assign(complete_truth_cm3=10.0, complete_predicted_cm3=found)
    return Experiment(name, {**BASE, **changed}, cases)


def test_pairs_that_differ_in_one_thing_answer_its_question():
    given = [
        experiment("whole"),
        experiment("bare", class_weights="none", dice=0.6),
        experiment("dropout", normalisation="dropout", dropout=0.5, dice=0.7),
        experiment("neither", normalisation="none", class_weights="none", dice=0.1),
        experiment("again", seed=2, dice=0.8),
    ]
    found = {entry["question"]: entry["rows"] for entry in comparisons(given)}
    assert set(found) == {
        "Do class weights help, and which?",
        "Batch normalisation, dropout or neither?",
        "Does seed matter?",
    }
    [weights] = found["Do class weights help, and which?"]
    assert (weights["first"], weights["second"]) == ("bare (class_weights none)", "whole (class_weights slice)")
    assert weights["core"]["difference"] == pytest.approx(-0.2) and "p" not in weights["core"]  # three patients
    rows = [
        (row["first"].split(" ")[0], row["second"].split(" ")[0])
        for row in found["Batch normalisation, dropout or neither?"]
    ]
    assert rows == [("dropout", "whole"), ("neither", "bare")]


def test_an_architecture_is_one_factor_and_where_it_was_computed_is_none():
    other = experiment("cascade", architecture="input_cascade", builds_on="models/two_path", precision="bfloat16")
    assert differing_factors(other, experiment("whole")) == ["architecture"]
    newer = Experiment(
        other.name, {**other.settings, "axes": "one", "ema": 0.0}, other.cases
    )  # has keys that came later
    assert differing_factors(newer, experiment("whole")) == ["architecture"]
    [entry] = comparisons([experiment("whole"), other])
    assert entry["question"] == "Which architecture?"
    [row] = entry["rows"]
    assert (row["first"], row["second"]) == ("cascade (architecture input_cascade)", "whole (architecture two_path)")


def test_steps_are_a_question_of_their_own_unless_the_procedure_differs_too():
    short, long = experiment("short", steps=100), experiment("long", steps=300)
    once = experiment("once", steps=300, phase2_steps=0)
    assert differing_factors(long, short) == ["steps"]
    assert differing_factors(once, short) == differing_factors(once, long) == ["procedure"]
    found = {entry["question"]: entry["rows"] for entry in comparisons([short, long, once])}
    assert set(found) == {"How many training steps?", "One phase or two?"}
    [row] = found["How many training steps?"]
    assert (row["first"], row["second"]) == ("long (steps 300)", "short (steps 100)")
    row = found["One phase or two?"][0]
    assert (row["first"], row["second"]) == ("once (phase2_steps 0, steps 300)", "short (phase2_steps 80, steps 100)")


def test_the_rate_of_a_dropout_that_is_not_there_does_not_count():
    assert differing_factors(experiment("a", dropout=0.1), experiment("b")) == []
    assert differing_factors(experiment("a", normalisation="none"), experiment("b")) == ["normalisation"]


def test_experiments_without_regularisation_are_tested_for_collapse():
    bare, fallen = collapses(
        [experiment("whole"), experiment("bare", class_weights="none"),
         experiment("fallen", class_weights="none", normalisation="none", found=0.2)]
    )  # fmt: skip
    assert (bare["experiment"], bare["without"], bare["collapsed"]) == ("bare", "class weights", False)
    assert bare["ratio"] == pytest.approx(0.9) and bare["dice"] == pytest.approx(0.8)
    assert (fallen["ratio"], fallen["collapsed"]) == (pytest.approx(0.02), True)
    assert "batch normalisation" in fallen["without"]


def test_settings_come_from_the_runs_record():
    run = {"architecture": "two_path", "builds_on": "x", "params": {"train.width": 0.5, "data.source": "y"}, "seed": 3}
    one = settled({"name": "e", "run": run, "cases": pd.DataFrame()})
    assert one.settings == {"architecture": "two_path", "builds_on": "x", "width": 0.5}
