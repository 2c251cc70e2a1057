import pandas as pd
import pytest

from brats_cascade.labels import REGIONS
from brats_cascade.report.ablation import Experiment, answers, differing_factors, tumour_calls

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
    found = {entry["question"]: entry["lines"] for entry in answers(given)}
    assert set(found) == {
        "Do class weights help, and which?",
        "Batch normalisation, dropout or neither?",
        "Does seed matter?",
    }
    [weights] = found["Do class weights help, and which?"]
    assert weights.startswith(
        "bare (class_weights none) against whole (class_weights slice): mean Dice complete 0.600 against"
    )
    assert "-0.200" in weights and "too few patients to tell" in weights
    lines = found["Batch normalisation, dropout or neither?"]
    assert [line.split(" ")[0] for line in lines] == ["dropout", "neither"]  # neither against bare, not against whole
    assert " against bare " in lines[1]


def test_an_architecture_is_one_factor_and_where_it_was_computed_is_none():
    other = experiment("cascade", architecture="input_cascade", builds_on="models/two_path", precision="bfloat16")
    assert differing_factors(other, experiment("whole")) == ["architecture"]
    [entry] = answers([experiment("whole"), other])
    assert entry["question"] == "Which architecture?"
    assert "cascade (architecture input_cascade) against whole (architecture two_path)" in entry["lines"][0]


def test_steps_are_a_question_of_their_own_unless_the_procedure_differs_too():
    short, long = experiment("short", steps=100), experiment("long", steps=300)
    once = experiment("once", steps=300, phase2_steps=0)
    assert differing_factors(long, short) == ["steps"]
    assert differing_factors(once, short) == differing_factors(once, long) == ["procedure"]
    found = {entry["question"]: entry["lines"] for entry in answers([short, long, once])}
    assert set(found) == {"How many training steps?", "One phase or two?"}
    assert found["How many training steps?"][0].startswith("long (steps 300) against short (steps 100): ")
    whole = found["One phase or two?"][0]
    assert whole.startswith("once (phase2_steps 0, steps 300) against short (phase2_steps 80, steps 100): ")


def test_the_rate_of_a_dropout_that_is_not_there_does_not_count():
    assert differing_factors(experiment("a", dropout=0.1), experiment("b")) == []
    assert differing_factors(experiment("a", normalisation="none"), experiment("b")) == ["normalisation"]


def test_the_claim_about_non_tumour_is_put_to_the_test():
    lines = tumour_calls(
        [experiment("whole"), experiment("bare", class_weights="none"),
         experiment("fallen", class_weights="none", normalisation="none", found=0.2)]
    )  # fmt: skip
    assert len(lines) == 2
    assert "bare, without class weights, marks 90%" in lines[0] and "does not fall" in lines[0]
    assert (
        "without class weights and without batch norm or dropout, marks 2%" in lines[1] and "it does fall" in lines[1]
    )


def test_settings_come_from_the_runs_record():
    run = {"architecture": "two_path", "builds_on": "x", "params": {"train.width": 0.5, "data.source": "y"}, "seed": 3}
    one = Experiment.of("e", run=run, cases=pd.DataFrame())
    assert one.settings == {"architecture": "two_path", "builds_on": "x", "width": 0.5}
    assert one.factor("architecture") == pytest.approx({"architecture": "two_path", "builds_on": "x"})
