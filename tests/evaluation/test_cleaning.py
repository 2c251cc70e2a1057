"""The rule chosen on validation, against scoring the cleaned volumes themselves."""

import numpy as np
import pytest

from brats_cascade.evaluation.cleaning import choose_rule, mean_of, tally
from brats_cascade.evaluation.regions import score_case
from brats_cascade.inference.postprocess import OFF, Rule, all_rules, apply_rule
from brats_cascade.labels import REGIONS

CANDIDATES = {"min_component": (0, 3, 40), "skull_distance": (0, 3), "flatness": (0.4,), "skull_volume": (500, 20)}


def case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    brain = np.zeros((16, 20, 18), bool)
    brain[1:-1, 1:-1, 1:-1] = True
    truth = np.zeros(brain.shape, np.uint8)
    truth[5:10, 6:13, 5:12] = 2
    truth[6:9, 8:11, 7:10] = 4
    found = truth.copy()
    found[1:2, 3:9, 3:9] = 2  # a plate at the edge
    found[rng.random(brain.shape) < 0.01] = 1  # crumbs
    return found * brain, truth, brain


def test_every_rules_score_equals_that_of_the_cleaned_volume() -> None:
    found, truth, brain = case(0)
    counted = tally(found, truth=truth, brain=brain, spacing=(1, 1, 2))
    for rule in all_rules(CANDIDATES):
        scores = score_case(truth, apply_rule(found, brain=brain, spacing=(1, 1, 2), rule=rule), spacing=(1, 1, 2))
        assert counted.dice(rule) == pytest.approx({region: scores[f"{region}_dice"] for region in REGIONS})


def test_the_best_rule_is_taken_and_both_scores_are_kept() -> None:
    cases = [case(seed) for seed in range(3)]
    tallies = [tally(found, truth=truth, brain=brain, spacing=(1, 1, 1)) for found, truth, brain in cases]
    rules = all_rules(CANDIDATES)
    choice = choose_rule(tallies, rules=rules)
    means = [np.mean([mean_of(one.dice(rule)) for one in tallies]) for rule in rules]
    assert mean_of(choice.scores) == pytest.approx(max(means))
    assert choice.rule == rules[int(np.argmax(means))]
    assert choice.rule.min_component == 40 or choice.rule.skull_distance == 3
    entry = choice.as_dict(cases=3)
    assert entry["dice"] > entry["dice_without"] == pytest.approx(np.mean([mean_of(one.dice(OFF)) for one in tallies]))
    assert entry["core"]["dice"] == choice.scores["core"]
    assert entry["rules_tried"] == len(rules)


def test_where_nothing_helps_nothing_is_removed() -> None:
    found, truth, brain = case(0)
    counted = tally(truth, truth=truth, brain=brain, spacing=(1, 1, 1))
    assert choose_rule([counted], rules=all_rules(CANDIDATES)).rule.as_dict() == OFF.as_dict()
    empty = tally(np.zeros_like(found), truth=np.zeros_like(found), brain=brain, spacing=(1, 1, 1))
    assert empty.dice(Rule(min_component=9)) == {region: 1.0 for region in REGIONS}


def test_no_case_is_refused() -> None:
    with pytest.raises(ValueError, match="expected validation cases"):
        choose_rule([], rules=[OFF])
