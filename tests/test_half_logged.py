"""A store that goes away in the middle: whatever was not logged is logged by the next command, in the same run."""

import json
import sqlite3

import pandas as pd
import pytest

from brats_cascade import tracking
from brats_cascade.commands import results
from brats_cascade.costs import scores_of
from brats_cascade.project import Project
from brats_cascade.stages import champion
from brats_cascade.stages.champion import is_behind, tell_mlflow
from brats_cascade.stages.logged import log_evaluation
from brats_cascade.tracking import evaluated, store
from brats_cascade.tracking.notes import keep_note, keep_pending, read_note, read_pending
from brats_cascade.tracking.owner import HOST, PROCESS, owner_tags

REGION = {"dice": 0.8, "ppv": 0.5, "sensitivity": 0.6, "hd95": 7.0}
SCORES = {"dice": 0.7, "dice_without": 0.6}
SUMMARY = {
    **dict.fromkeys(("complete", "core", "enhancing"), REGION),
    **{"patients": 1, "cases": 1, "without_postprocess": dict.fromkeys(("complete", "core", "enhancing"), REGION)},
    "postprocess": {"min_component": 3.0, "skull_distance": 0.0, "flatness": 0.0, "skull_volume": 0.0},
    "validation": {**dict.fromkeys(("complete", "core", "enhancing"), SCORES), **SCORES},
}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """One for all: making its tables takes seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    store.open_store(path.parent)
    return path


@pytest.fixture
def project(tmp_path, database, monkeypatch):
    """A project whose experiment `a` was trained and evaluated while MLflow was away; every test has an MLflow of its own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect(database) as whole, sqlite3.connect(tmp_path / "mlflow.db") as copy:
        whole.backup(copy)
    monkeypatch.setattr(
        evaluated, "log_training", lambda run, folder: run.log_history(pd.read_csv(folder / "history.csv"))
    )
    for path, text in {
        "dvc.lock": "stages: {}",
        "data/splits.json": json.dumps({"train": ["x"], "validation": ["y"], "test": ["z"]}),
        "models/a/record.json": json.dumps({"experiment": "a", "architecture": "two_path", "procedure": "two_phase"}),
        "models/a/model.keras": str(tmp_path),
        "models/a/history.csv": "phase,check,step,loss\n1,0,5,2.5\n1,1,10,1.5\n",
        "metrics/a/summary.json": json.dumps(SUMMARY),
        "metrics/a/cases.csv": "case,patient,complete_dice\nz,z,0.8\n",
        "metrics/a/slices.csv": "case,slice,complete_f1,truth_pixels,predicted_pixels\nz,4,0.123456789012345,5,6\n",
        "metrics/a/nine_slices.csv": "slice,complete_f1\n4,0.5\n",
        "metrics/a/validation.csv": "case,patient,mean_dice\ny,y,0.7\n",
        "reports/figures/a/curve.png": "no picture",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    keep_note("a", run_id="", logged=False)
    note(tmp_path)
    return Project(tmp_path)


def note(root, **options):
    about = {"options": {"flips": False, **options}, "params": {"split.seed": 1}, "source": "cohort", "seconds": 5.0}
    keep_pending("a", {"scores": scores_of(root, name="a"), **about}, root=root)


class Failing:
    """A client whose calls fail from a certain one on, counted in a list that all clients share."""

    def __init__(self, client, *, calls, first):
        self._client, self._calls, self._first = client, calls, first

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self._calls.append(name)
            if len(self._calls) >= self._first:
                raise OSError("database is locked")
            return getattr(self._client, name)(*args, **kwargs)

        return call


def failing_from(monkeypatch, first):
    """Makes the store fail from its call `first` on; gives the names of the calls so far."""
    calls, whole = [], store.open_store

    def open_store(root):
        client, experiment = whole(root)
        return Failing(client, calls=calls, first=first), experiment

    monkeypatch.setattr(store, "open_store", open_store)
    return calls


def all_runs(root):
    client, experiment = store.open_store(root)
    return client, client.search_runs([experiment])


def is_whole(client, run):
    """Says whether a run holds the whole evaluation, every number once."""
    assert run.info.status == "FINISHED" and run.data.tags["candidate"] == "yes"
    for name, value in {
        "test/core/dice": 0.8,
        "validation/dice": 0.7,
        "slice_complete_f1/z": 0.123456789012345,
    }.items():
        assert [point.value for point in client.get_metric_history(run.info.run_id, name)] == [value]
    assert run.data.params["evaluate.flips"] in ("False", "True") and run.data.params["split.seed"] == "1"
    assert "mlflow.note.content" in run.data.tags
    assert {item.path for item in client.list_artifacts(run.info.run_id, "tables")} == {
        f"tables/{name}.json" for name in ("cases", "slices", "nine_slices", "validation")
    }
    assert client.list_artifacts(run.info.run_id, "figures")
    return True


def cut_off(project, monkeypatch, *, first):
    """Logs the evaluation with a store that fails from a call on; gives the calls."""
    with monkeypatch.context() as patch:
        calls = failing_from(patch, first)
        log_evaluation(project, "a")
    return calls


@pytest.mark.slow
def test_an_evaluation_that_was_cut_off_anywhere_is_completed_in_the_same_run(project, monkeypatch):
    total = len(cut_off(project, monkeypatch, first=10**6))
    assert total > 15 and read_pending("a", root=project.root) is None
    for first in range(1, total + 1, 3):
        client, runs = all_runs(project.root)
        for run in runs:
            client.delete_run(run.info.run_id)
        (project.models / "a/model.keras").write_text(f"network {first}")
        note(project.root)
        calls = cut_off(project, monkeypatch, first=first)
        assert read_pending("a", root=project.root) is not None, (first, calls[first - 1])
        log_evaluation(project, "a")
        client, runs = all_runs(project.root)
        assert len(runs) == 1 and is_whole(client, runs[0]), (first, calls[first - 1])
        points = client.get_metric_history(runs[0].info.run_id, "phase1/loss")
        assert [(point.step, point.value) for point in points] == [(5, 2.5), (10, 1.5)], (first, calls[first - 1])
        assert read_note("a") == {"run_id": runs[0].info.run_id, "logged": True}


@pytest.mark.slow
def test_so_is_an_evaluation_with_other_parameters_in_its_own_run(project, monkeypatch):
    log_evaluation(project, "a")
    client, [parent] = all_runs(project.root)
    note(project.root, flips=True)
    total = len(cut_off(project, monkeypatch, first=10**6))
    for first in range(2, total + 1, 5):
        client, runs = all_runs(project.root)
        for run in runs:
            if run.info.run_id != parent.info.run_id:
                client.delete_run(run.info.run_id)
        note(project.root, flips=True)
        calls = cut_off(project, monkeypatch, first=first)
        log_evaluation(project, "a")
        client, runs = all_runs(project.root)
        [child] = [run for run in runs if run.info.run_id != parent.info.run_id]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id, (first, calls[first - 1])
        assert is_whole(client, child) and child.data.params["evaluate.flips"] == "True", (first, calls[first - 1])


def test_a_run_whose_process_was_killed_does_not_stay_running(project):
    with tracking.start_run("killed", root=project.root) as killed:
        pass
    with tracking.start_run("elsewhere", root=project.root) as elsewhere:
        elsewhere.log_tags({HOST: "another", PROCESS: "1 0"})
    with tracking.start_run("alive", root=project.root) as alive:
        assert alive.tag(PROCESS) == owner_tags()[PROCESS]
    number, _, began = owner_tags()[PROCESS].partition(" ")
    killed.log_tags({PROCESS: f"{number} {float(began) - 100:.0f}", "state": "running"})  # its number was given again
    with tracking.start_run("next", root=project.root, finish=True) as run:
        stored = {own: run.client.get_run(own.id) for own in (killed, elsewhere, alive)}
    assert [stored[own].info.status for own in (killed, elsewhere, alive)] == ["KILLED", "RUNNING", "RUNNING"]
    assert stored[killed].data.tags["state"] == "lost"


def test_a_champion_that_could_not_be_registered_is_registered_by_the_next_command(project, monkeypatch):
    registered = []
    monkeypatch.setattr(champion, "model_card", lambda *_, **__: "card")
    (project.models / "a/model.json").write_text("{}")
    answers = iter([None, "1"])

    def register(folder, *, run_id, **_):
        registered.append(run_id)
        return next(answers)

    monkeypatch.setattr(champion, "register_champion", register)
    with monkeypatch.context() as patch:  # the store is away: nothing can be logged, so there is nothing to register
        patch.setattr(store, "open_store", lambda root: (_ for _ in ()).throw(OSError("away")))
        tell_mlflow(project, names=["a"])
    assert registered == [] and is_behind(project, names=["a"])
    tell_mlflow(project, names=["a"])  # there again, and away again before the champion is registered
    client, [run] = all_runs(project.root)
    assert is_whole(client, run) and registered == [run.info.run_id] and is_behind(project, names=["a"])
    (project.reports / "comparison.json").write_text(json.dumps({"experiments": {"a": SUMMARY}}))
    results.run(project.root)
    assert registered == [run.info.run_id] * 2 and not is_behind(project, names=["a"])
    results.run(project.root)
    assert len(registered) == 2
