from pathlib import Path

import optuna
import pytest

from brats_cascade.errors import UserError
from brats_cascade.params import load_params
from brats_cascade.params.space import Range, overrides_of, parse_space, point_of, suggest
from brats_cascade.sweep.plan import plan_of

ROOT = Path(__file__).parents[2]
NESTED = {
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "batch": {"low": 2, "high": 8, "step": 2},
    "flip": {"choices": [True, False]},
    "optimizer": {
        "choices": {
            "adam": {},
            "sgd": {"momentum": {"low": 0.5, "high": 0.9}, "schedule": {"choices": ["linear", "cosine"]}},
        }
    },
}


@pytest.fixture(scope="module")
def train():
    return load_params(ROOT / "params.yaml").train


def test_a_trial_gets_the_keys_of_the_branch_taken_and_no_others(train):
    space = parse_space(NESTED, train=train)
    params = {"learning_rate": 0.001, "batch": 4, "flip": False, "optimizer": "sgd"}
    inner = {"optimizer.sgd.momentum": 0.75, "optimizer.sgd.schedule": "linear"}
    found = suggest(optuna.trial.FixedTrial({**params, **inner}), space)
    assert found == {**params, "momentum": 0.75, "schedule": "linear"}
    assert suggest(optuna.trial.FixedTrial({**params, "optimizer": "adam"}), space) == {**params, "optimizer": "adam"}
    assert overrides_of({**params, **inner}) == found


def test_drawn_values_lie_in_the_space_and_have_the_right_kind(train):
    space = parse_space(NESTED, train=train)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    drawn = [suggest(study.ask(), space) for _ in range(60)]
    assert {point["batch"] for point in drawn} == {2, 4, 6, 8}
    assert all(type(point["batch"]) is int and type(point["flip"]) is bool for point in drawn)
    assert all(1e-4 <= point["learning_rate"] <= 1e-2 for point in drawn)
    below = sum(point["learning_rate"] < 1e-3 for point in drawn)
    assert 15 < below < 45  # evenly over the logarithm: half of them
    assert {"momentum" in point for point in drawn if point["optimizer"] == "sgd"} == {True}
    assert {"momentum" in point for point in drawn if point["optimizer"] == "adam"} == {False}


def test_the_experiments_own_settings_as_a_point(train):
    own = train.model_copy(
        update={"learning_rate": 0.001, "batch": 4, "optimizer": "sgd", "momentum": 0.8, "schedule": "cosine"}
    )
    space = parse_space(NESTED, train=train)
    point = point_of(space, train=own)
    assert point == {
        "learning_rate": 0.001, "batch": 4, "flip": own.flip, "optimizer": "sgd", "optimizer.sgd.momentum": 0.8,
        "optimizer.sgd.schedule": "cosine",
    }  # fmt: skip
    assert suggest(optuna.trial.FixedTrial(point), space)["momentum"] == 0.8
    for outside in ({"batch": 3}, {"batch": 10}, {"learning_rate": 0.5}, {"momentum": 0.95}, {"schedule": "constant"}):
        assert point_of(space, train=own.model_copy(update=outside)) is None


def test_whole_numbers_stay_whole_and_steps_hold(train):
    space = parse_space(
        {"steps": {"low": 100, "high": 400, "log": True}, "l2": {"low": 0.0, "high": 0.3, "step": 0.1}}, train=train
    )
    assert space["steps"] == Range(100, 400, log=True, whole=True)
    assert space["l2"].holds(0.2) and not space["l2"].holds(0.25)
    assert type(suggest(optuna.trial.FixedTrial({"steps": 200, "l2": 0.1}), space)["steps"]) is int


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"learningrate": {"low": 1, "high": 2}}, r"sweep.space.learningrate: .* did you mean 'learning_rate'\?"),
        ({"learning_rate": {"low": 0.1, "hihg": 0.2}}, r"sweep.space.learning_rate: expected \{low, high"),
        ({"learning_rate": {"low": 0.0, "high": 0.2}}, r"sweep.space.learning_rate.low: .*greater than 0, found 0.0"),
        ({"learning_rate": {"low": 0.2, "high": 0.1}}, r"expected low below high, found 0.2 and 0.1"),
        ({"l1": {"low": 0.0, "high": 0.1, "log": True}}, r"both above 0"),
        ({"l1": {"low": 0.1, "high": 0.2, "log": True, "step": 0.1}}, r"log: true or step, not both"),
        ({"batch": {"low": 2, "high": 8, "step": 4}}, r"sweep.space.batch.step: .* from 2 to 8 exactly, found 4"),
        ({"batch": {"low": 2, "high": 4.5}}, r"sweep.space.batch.high: .*integer.*found 4.5"),
        ({"batch": {"low": True, "high": 4}}, r"sweep.space.batch.low: expected a number, found True"),
        ({"optimizer": {"low": 1, "high": 2}}, r"sweep.space.optimizer: optimizer is no number"),
        ({"optimizer": {"choices": ["adam", "adamw"]}}, r"sweep.space.optimizer: .*'adam' or 'sgd', found 'adamw'"),
        ({"optimizer": {"choices": []}}, r"sweep.space.optimizer.choices: expected a list"),
        ({"optimizer": {"choices": {"sgd": {"momentun": {"choices": [0.5]}}}}}, r"space.optimizer.sgd.momentun: .*'momentum'"),
        ({"batch": {"choices": [2]}, "optimizer": {"choices": {"sgd": {"batch": {"choices": [4]}}}}}, r"batch is in both"),
        ({"batch": {"choices": {2: {"batch": {"choices": [4]}}}}}, r"batch is also in its own branches"),
        ({"tile": 32}, r"sweep.space.tile: expected \{low, high.*found 32"),
    ],
)  # fmt: skip
def test_what_is_refused_and_how(train, tree, message):
    with pytest.raises(UserError, match=message):
        parse_space(tree, train=train)


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        (
            {"space": {"learning_rat": {"low": 0.1, "high": 0.2}}},
            r"params.yaml: sweep.space.learning_rat: .*did you mean 'learning_rate'\?",
        ),
        ({"experiment": "twopath"}, r"sweep.experiment: no experiment 'twopath'; known: two_path"),
        ({"fixed": {"step": 4}}, r"sweep.fixed: train has no key 'step'; did you mean 'steps'\?"),
        ({"fixed": {"steps": 0}}, r"sweep.fixed.steps: .*greater than 0, found 0"),
        ({"prunner": "none"}, r"unknown key 'sweep.prunner'; did you mean 'pruner'\?"),
    ],
)
def test_the_block_is_checked_when_params_yaml_is_read(make_project, sweep, message):
    root = make_project(**sweep)
    with pytest.raises(UserError, match=message):
        load_params(root / "params.yaml")


def test_the_shipped_space_is_sound_and_holds_the_experiments_own_settings():
    plan = plan_of(load_params(ROOT / "params.yaml"))
    point = point_of(plan.space, train=plan.entry.train)
    assert point is not None
    assert plan.train_with(overrides_of(point)) == plan.entry.train
