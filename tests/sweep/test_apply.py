import optuna
import pytest

from brats_cascade.errors import UserError
from brats_cascade.params import load_params
from brats_cascade.params.file import read_tree, write_params
from brats_cascade.sweep.apply import apply_best
from brats_cascade.sweep.plan import plan_of


def finished(params, *, value=0.81234, default=None):
    """A study `hunt` with one trial of these settings, after one with the experiment's own where `default` is its score."""
    space = {
        key: optuna.distributions.CategoricalDistribution([choice]) if isinstance(choice, str)
        else optuna.distributions.FloatDistribution(0, 1) for key, choice in params.items()
    }  # fmt: skip
    study = optuna.create_study(study_name="hunt", direction="maximize")
    if default is not None:
        study.add_trial(optuna.create_trial(value=default, user_attrs={"default": True}))
    study.add_trial(optuna.create_trial(params=params, distributions=space, value=value))
    return {"study": study, "best": study.best_trial}


@pytest.fixture
def params_file(make_project):
    """The shipped params.yaml, in the form it is written in, with a sweep of `two_path` whose trials have 9 steps."""
    path = make_project(fixed={"steps": 9}) / "params.yaml"
    write_params(path, read_tree(path))
    return path


def test_the_best_trial_becomes_an_experiment_and_every_other_line_stays(params_file):
    before = params_file.read_text().splitlines()
    plan = plan_of(load_params(params_file))
    found = finished({"learning_rate": 0.00123456789, "optimizer": "sgd", "optimizer.sgd.momentum": 0.8}, default=0.5)
    told = apply_best(params_file, plan=plan, **found)
    assert told == "params.yaml: experiment hunt_best is this trial; `dvc repro` trains and evaluates it"
    after = params_file.read_text().splitlines()
    start = after.index("  hunt_best:")
    block = [line for line in after[start:] if line in ("  hunt_best:",) or line.startswith("    ")]
    assert len(block) == 7 and after[:start] + after[start + len(block) :] == before
    params = load_params(params_file)
    found = params.experiments["hunt_best"]
    assert (found.architecture, found.builds_on) == ("two_path", "data/patches")
    wanted = {"steps": 9, "learning_rate": 0.00123457, "optimizer": "sgd", "momentum": 0.8}
    assert found.train == params.train.model_copy(update=wanted)
    assert params.experiments["two_path"].train == params.train


def test_applying_a_better_trial_replaces_the_experiment(params_file):
    plan = plan_of(load_params(params_file))
    apply_best(params_file, plan=plan, **finished({"learning_rate": 0.5}))
    apply_best(params_file, plan=plan, **finished({"learning_rate": 0.25}, value=0.9))
    assert params_file.read_text().count("hunt_best:") == 1
    assert load_params(params_file).experiments["hunt_best"].train.learning_rate == 0.25


@pytest.mark.parametrize("value", [0.7, 0.8])  # worse than the experiment's own settings, and as good
def test_where_nothing_better_was_found_nothing_is_written(params_file, value):
    before = params_file.read_text()
    found = finished({"learning_rate": 0.5}, value=value, default=0.8)
    told = apply_best(params_file, plan=plan_of(load_params(params_file)), **found)
    assert told == "params.yaml: left as it is; no trial is better than trial 0, the settings of two_path"
    assert params_file.read_text() == before


def test_settings_that_an_experiment_has_already_are_not_written_twice(params_file):
    plan = plan_of(load_params(params_file))
    found = finished({"learning_rate": 0.5})
    apply_best(params_file, plan=plan, **found)
    before = params_file.read_text()
    told = apply_best(params_file, plan=plan, **found)
    assert told == "params.yaml: left as it is; experiment hunt_best has the settings of trial 0 already"
    assert params_file.read_text() == before


def test_an_experiments_own_overrides_stay(params_file):
    tree = read_tree(params_file)
    tree["experiments"]["two_path"]["l2"] = 0.5
    write_params(params_file, tree)
    apply_best(params_file, plan=plan_of(load_params(params_file)), **finished({"learning_rate": 0.5}))
    assert load_params(params_file).experiments["hunt_best"].train.l2 == 0.5


def test_what_would_not_be_read_back_leaves_the_file_alone(params_file):
    before = params_file.read_text()
    plan = plan_of(load_params(params_file))
    with pytest.raises(UserError, match=r"left as it was; trial 0 does not fit in: .*learning_rate"):
        apply_best(params_file, plan=plan, **finished({"learning_rate": 0.0}))
    assert params_file.read_text() == before
    assert [entry.name for entry in params_file.parent.iterdir() if entry.name.startswith(".params")] == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tree: tree["train"].update(width=0.1), "two_path or train has changed since the sweep started"),
        (
            lambda tree: tree["experiments"].update(other=tree["experiments"].pop("two_path")),
            "no experiment 'two_path'",
        ),
    ],
)
def test_a_file_that_was_changed_while_the_sweep_ran_is_left_alone(params_file, change, told):
    """The new experiment would not be the trial: it takes what the trial did not vary from the file."""
    plan, tree = plan_of(load_params(params_file)), read_tree(params_file)
    change(tree)
    tree["sweep"]["experiment"] = next(iter(tree["experiments"]))
    write_params(params_file, tree)
    before = params_file.read_text()
    with pytest.raises(UserError, match=rf"left as it was; .*{told}"):
        apply_best(params_file, plan=plan, **finished({"learning_rate": 0.5}))
    assert params_file.read_text() == before
