import dataclasses
import threading

import optuna
import pytest

from brats_cascade import precision, tracking
from brats_cascade.errors import UserError
from brats_cascade.params import load_params
from brats_cascade.sweep import worker
from brats_cascade.sweep.objective import Objective, Outcome
from brats_cascade.sweep.plan import Orders, plan_of
from brats_cascade.sweep.records import RUN, open_trial
from brats_cascade.sweep.storage import open_storage
from brats_cascade.sweep.study import make_study, open_study
from brats_cascade.sweep.trials import give_up_lost, host_name, reason_of
from brats_cascade.tracking.system import ENABLED
from brats_cascade.training.batches import TrainingData

EMPTY = TrainingData([], [], {}, (0, 4))


class Quiet:
    """Stands in for MLflow's run; remembers what it was given."""

    def __init__(self, given):
        self.id, self.online, self.given = "run", True, given

    def log_progress(self, history):
        self.given.append(("rows", len(history)))

    def log_tags(self, tags):
        self.given.append(("tags", tags))

    def log_scores(self, scores, prefix):
        self.given.append((prefix, scores))


@pytest.fixture
def tracked(monkeypatch):
    """What trials log."""
    import contextlib

    given = []

    @contextlib.contextmanager
    def opened(name, *, run_id, **settings):
        given.append(("open", run_id, name, settings["tags"], settings["params"]))
        yield Quiet(given)

    monkeypatch.setattr(tracking, "start_run", opened)
    monkeypatch.setenv(ENABLED, "false")  # the state of the machine: that needs a run in a store
    return given


@pytest.fixture
def make_objective(make_project, tmp_path, tracked):
    def make(train, **sweep):
        root = make_project(**{"startup": 2, **sweep})
        plan = plan_of(load_params(root / "params.yaml"))
        url = f"sqlite:///{tmp_path / 'optuna.db'}"
        storage = open_storage(url, heartbeat=60)
        make_study("s", storage=storage, plan=plan)
        study = open_study("s", storage=storage, plan=plan)
        return study, Objective(Orders("s", url, plan, root, trials=0, parent="top"), EMPTY, train=train), plan

    return make


def fake(score, *, curve=(), events=None):
    """A training: score(train) at the end, curve(train) at every validation round."""

    def train(plan, settings, *, data, root, folder, on_check):
        folder.mkdir(parents=True)
        history = []
        for index, value in enumerate(curve(settings) if curve else []):
            history.append({"phase": 1, "check": index + 1, "step": index, "validation_complete": value})
            on_check(history)
            if events is not None:
                events.append((settings.learning_rate, index))
        value = score(settings)
        return Outcome(value, {"b": value}, 2.5, 1000, 64)

    return train


def run(study, objective, **orders):
    objective.orders = dataclasses.replace(objective.orders, **orders)
    return worker.run_trials(study, objective)


@pytest.mark.slow
def test_the_first_trial_is_the_experiment_itself_and_trials_are_counted_over_all_commands(make_objective, tracked):
    study, objective, plan = make_objective(fake(lambda train: 1 - train.learning_rate))
    assert run(study, objective, trials=3) == 0
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    first = study.trials[0]
    assert first.params == {"learning_rate": plan.entry.train.learning_rate}
    assert first.value == 1 - plan.entry.train.learning_rate
    assert first.user_attrs["cases"] == {"b": first.value} and first.user_attrs["parameters"] == 1000
    assert run(study, objective, trials=3) == 0 and len(study.trials) == 3
    assert run(study, objective, trials=5) == 0 and len(study.trials) == 5
    assert not list(objective.orders.folder.glob("0*"))  # no checkpoints of finished trials
    _, known, name, tags, params = next(entry for entry in tracked if entry[0] == "open")
    assert (known, name) == ("", "s/0")
    assert tags["mlflow.parentRunId"] == "top" and tags["sweep"] == "s" and tags["kind"] == "trial"
    assert params["train.learning_rate"] == plan.entry.train.learning_rate
    assert tags["procedure"] == "one_phase"  # as the experiment's own run would be tagged: TINY has no phase 2
    assert tags["git_commit"] == "unknown"  # outside of git
    assert (
        "sweep",
        {"complete": first.value, "seconds": 2.5, "parameters": 1000, "cases": {"b": first.value}},
    ) in tracked


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Heartbeat of storage:UserWarning")
def test_a_trial_that_is_repeated_in_another_precision_gets_another_run(make_objective, tracked) -> None:
    study, objective, plan = make_objective(fake(lambda train: 0.5))
    trial = study.ask()
    trial.set_user_attr(RUN, "first")
    for own, known in (("bfloat16", "first"), ("bfloat16", "run"), ("float32", "")):
        train = plan.entry.train.model_copy(update={"precision": own})
        with open_trial(trial, orders=objective.orders, train=train):
            assert trial.user_attrs["precision"] == own
        _, run_id, _, _, params = [entry for entry in tracked if entry[0] == "open"][-1]
        assert (run_id, params["train.precision"]) == (known, own)


@pytest.mark.slow
def test_a_trial_is_trained_in_the_precision_of_its_device(make_objective, monkeypatch) -> None:
    trained = []
    study, objective, plan = make_objective(fake(lambda train: trained.append(train.precision) or 0.5))
    auto = plan.entry.model_copy(update={"train": plan.entry.train.model_copy(update={"precision": "auto"})})
    objective.orders = dataclasses.replace(objective.orders, plan=dataclasses.replace(plan, entry=auto))
    for native, wanted in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(precision, "native_bfloat16", lambda native=native: native)
        assert run(study, objective, trials=len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) + 1) == 0
        assert trained[-1] == wanted == study.trials[-1].user_attrs["precision"]


@pytest.mark.slow
def test_a_failing_trial_is_recorded_with_its_reason_and_the_study_goes_on(make_objective, tracked):
    errors = iter(
        [
            UserError("training: the loss is nan at step 3"),
            MemoryError(),
            RuntimeError("RESOURCE_EXHAUSTED: 4 GB"),
            None,
            KeyError("x"),
        ]
    )

    def score(_):
        error = next(errors)
        if error:
            raise error
        return 0.5

    study, objective, _ = make_objective(fake(score))
    run(study, objective, trials=5)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "FAIL", "FAIL", "COMPLETE", "FAIL"]
    assert [reason_of(trial) for trial in study.trials] == [
        "training: the loss is nan at step 3", "out of memory: MemoryError", "out of memory: RESOURCE_EXHAUSTED: 4 GB", "",
        "KeyError: 'x'",
    ]  # fmt: skip
    assert ("tags", {"state": "failed", "reason": "out of memory: MemoryError"}) in tracked
    assert study.best_value == 0.5


@pytest.mark.slow
def test_a_score_that_is_no_number_fails_and_a_row_of_failures_ends_the_worker(make_objective):
    study, objective, _ = make_objective(fake(lambda _: float("nan")))
    with pytest.raises(UserError, match=r"5 trials failed in a row; the last one: the score is nan"):
        run(study, objective, trials=9)
    assert len(study.trials) == 5


@pytest.mark.slow
def test_a_trial_that_falls_behind_is_pruned_by_its_validation_rounds(make_objective, tracked):
    default = 0.0005
    curve = lambda train: [0.8] * 4 if train.learning_rate == default else [0.1] * 4  # noqa: E731
    events = []
    train = fake(lambda settings: curve(settings)[-1], curve=curve, events=events)
    study, objective, _ = make_objective(train, pruner="median", startup=1)
    run(study, objective, trials=3)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "PRUNED", "PRUNED"]
    assert study.trials[0].intermediate_values == {1: 0.8, 2: 0.8, 3: 0.8, 4: 0.8}
    assert list(study.trials[1].intermediate_values) == [1, 2]  # one warm-up round
    assert ("tags", {"state": "pruned"}) in tracked
    assert not list(objective.orders.folder.glob("0*"))


@pytest.mark.slow
def test_two_objectives_are_not_pruned_and_give_both_values(make_objective):
    train = fake(lambda _: 0.5, curve=lambda _: [0.1, 0.2])
    study, objective, _ = make_objective(train, second="seconds", pruner="median")
    run(study, objective, trials=3)
    assert [trial.values for trial in study.trials] == [[0.5, 2.5]] * 3
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["complete", "seconds"]


@pytest.mark.slow
def test_a_study_that_no_longer_improves_ends(make_objective):
    study, objective, _ = make_objective(fake(lambda _: 0.5), patience=3)
    run(study, objective, trials=50)
    assert len(study.trials) == 4


def test_no_trial_begins_after_the_deadline(make_objective):
    study, objective, _ = make_objective(fake(lambda _: 0.5))
    assert run(study, objective, trials=5, deadline=1.0) == 0
    assert study.get_trials(states=[optuna.trial.TrialState.COMPLETE]) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::optuna.exceptions.ExperimentalWarning")
def test_a_worker_waits_for_a_trial_that_runs_elsewhere_and_takes_it_over_when_it_is_lost(make_objective, tracked):
    study, objective, _ = make_objective(fake(lambda _: 0.5))
    lost = study.ask()  # as if another process ran it
    lost.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    lost.set_user_attr("mlflow_run", "before")
    finished = threading.Event()

    def give_up():
        finished.wait(2)
        study._storage.set_trial_state_values(lost._trial_id, state=optuna.trial.TrialState.FAIL)
        optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=2)(study, study.trials[0])

    thread = threading.Thread(target=give_up)
    thread.start()
    run(study, objective, trials=1)
    thread.join()
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    assert study.trials[1].params == study.trials[0].params
    assert next(entry for entry in tracked if entry[0] == "open")[1] == "before"  # goes on in the same MLflow run


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_repeated_trial_is_known_to_run_here_before_another_worker_looks(make_objective, tmp_path, tracked):
    """It begins with the host and the process of the lost trial, by which a journal's workers would call it lost again."""
    _, objective, plan = make_objective(fake(lambda _: 0.5))
    storage = open_storage(f"journal:{tmp_path / 'o.journal'}")
    make_study("s", storage=storage, plan=plan)
    study = open_study("s", storage=storage, plan=plan)
    lost = study.ask()
    for key, value in {"host": host_name(), "process": "99999999 1"}.items():
        lost.set_user_attr(key, value)
    give_up_lost(study, retries=2)
    again = study.ask()
    objective.begun = lambda: give_up_lost(study, retries=2)
    study.tell(again, objective(again)[0])
    assert [entry.state.name for entry in study.trials] == ["FAIL", "COMPLETE"]


@pytest.mark.slow
def test_trials_are_compared_at_the_same_round_where_phase_1_ended_early(make_objective, tracked):
    """A round of phase 2 has the number that it has in a training whose phase 1 did not end early."""

    def train(plan, settings, *, data, root, folder, on_check):
        rounds = [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]  # 2 of 3 rounds in phase 1
        history = []
        for step, (phase, check) in enumerate(rounds):
            history.append({"phase": phase, "check": check, "step": step, "validation_complete": phase + check / 10})
            on_check(history)
        return Outcome(0.5, {"b": 0.5}, 2.5, 1000, 64)

    study, objective, plan = make_objective(train)
    settings = {"checks": 3, "patience": 1, "phase2_steps": 4}
    entry = plan.entry.model_copy(update={"train": plan.entry.train.model_copy(update=settings)})
    objective.orders = dataclasses.replace(objective.orders, plan=dataclasses.replace(plan, entry=entry))
    assert run(study, objective, trials=1) == 0
    assert study.trials[0].intermediate_values == {1: 1.1, 2: 1.2, 4: 2.1, 5: 2.2, 6: 2.3}
