import optuna
import pytest

from brats_cascade.config import load_params
from brats_cascade.errors import UserError
from brats_cascade.sweep.apply import apply_trial
from brats_cascade.sweep.plan import plan_of


def finished(params, value=0.81234):
    space = {
        key: optuna.distributions.CategoricalDistribution([choice]) if isinstance(choice, str)
        else optuna.distributions.FloatDistribution(0, 1) for key, choice in params.items()
    }  # fmt: skip
    trial = optuna.create_trial(params=params, distributions=space, value=value)
    trial.number = 7
    return trial


@pytest.fixture
def params_file(make_project):
    """The shipped params.yaml with a sweep of `two_path` whose trials have 9 steps."""
    path = make_project(fixed={"steps": 9}) / "params.yaml"
    return path


def test_the_best_trial_becomes_an_experiment_and_every_other_line_stays(params_file):
    before = params_file.read_text()
    plan = plan_of(load_params(params_file))
    trial = finished({"learning_rate": 0.00123456789, "optimizer": "sgd", "optimizer.sgd.momentum": 0.8})
    assert apply_trial(params_file, trial=trial, plan=plan, study="hunt") == "hunt_best"
    after = params_file.read_text()
    kept = [line for line in before.splitlines() if line not in after.splitlines()]
    assert kept == []
    added = after.splitlines()
    for line in before.splitlines():
        added.remove(line)
    assert added[0] == "  hunt_best:" and all(line.startswith("    ") for line in added[1:])
    assert "# study hunt, trial 7: complete Dice 0.8123 on the validation patients" in after
    params = load_params(params_file)
    found = params.experiments["hunt_best"]
    assert (found.architecture, found.builds_on) == ("two_path", "data/patches")
    wanted = {"steps": 9, "learning_rate": 0.00123457, "optimizer": "sgd", "momentum": 0.8}
    assert found.train == params.train.model_copy(update=wanted)
    assert params.experiments["two_path"].train == params.train


def test_applying_again_replaces_it(params_file):
    plan = plan_of(load_params(params_file))
    apply_trial(params_file, trial=finished({"learning_rate": 0.5}), plan=plan, study="hunt")
    apply_trial(params_file, trial=finished({"learning_rate": 0.25}, value=0.9), plan=plan, study="hunt")
    text = params_file.read_text()
    assert text.count("hunt_best:") == 1 and text.count("# study hunt") == 1
    assert load_params(params_file).experiments["hunt_best"].train.learning_rate == 0.25


def test_an_experiments_own_overrides_and_comments_stay(make_project):
    path = make_project() / "params.yaml"
    own = (
        "  two_path:\n    architecture: two_path\n    builds_on: data/patches     # the sets\n    l2: 0.5  # its own\n"
    )
    head, _, tail = path.read_text().partition("experiments:\n")
    tail = tail[tail.index("sweep:") :] if "sweep:" in tail else ""
    path.write_text(head + tail + "experiments:\n" + own + "  # the last one\n  wide:\n" + own.partition("\n")[2])
    plan = plan_of(load_params(path))
    apply_trial(path, trial=finished({"learning_rate": 0.5}), plan=plan, study="hunt")
    text = path.read_text()
    assert text.startswith(head) and own in text and "  # the last one\n  wide:\n" in text
    assert load_params(path).experiments["hunt_best"].train.l2 == 0.5


def test_what_would_not_be_read_back_leaves_the_file_alone(params_file):
    before = params_file.read_text()
    plan = plan_of(load_params(params_file))
    with pytest.raises(UserError, match=r"left as it was; trial 7 does not fit in: .*learning_rate"):
        apply_trial(params_file, trial=finished({"learning_rate": 0.0}), plan=plan, study="hunt")
    assert params_file.read_text() == before
    assert [entry.name for entry in params_file.parent.iterdir() if entry.name.startswith(".params")] == []
