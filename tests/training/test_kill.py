"""A training killed (SIGKILL) in the middle of an epoch and started again with the same command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from processes import MEASURED, SRC, unmeasured
from ruamel.yaml import YAML

from brats_cascade.costs import weights_of
from brats_cascade.errors import UserError
from brats_cascade.params import load_params
from brats_cascade.project import Project
from brats_cascade.shared import claimed
from brats_cascade.stages.train import train
from brats_cascade.tracking.notes import read_note

ROOT = Path(__file__).parents[2]


def _start(folder: Path, *, name: str = "two_path", **variables: str) -> subprocess.Popen[str]:
    environment = unmeasured(PYTHONPATH=str(SRC), TF_NUM_INTRAOP_THREADS="1", OMP_NUM_THREADS="1", **variables)
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.Popen(
        [sys.executable, str(ROOT / "pipelines/train.py"), name], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _kill_at(folder: Path, *, phase: int, step: int) -> None:
    """Starts a training and kills it as soon as its checkpoint says that it is past a step."""
    process = _start(folder)
    path = folder / ".work/train/two_path/checkpoint.npz"
    until = time.monotonic() + 240
    while time.monotonic() < until:
        if path.is_file():
            with path.open("rb") as file, np.load(file) as stored:  # replaced as a whole, so always readable
                state = json.loads(str(stored["state"]))
            if (state["phase"], state["step"]) >= (phase, step):
                break
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "models/two_path").exists()


def _finish(folder: Path, **variables: str) -> str:
    process = _start(folder, **MEASURED, **variables)
    try:
        log = process.communicate(timeout=400)[0]
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, log
    return log


def _runs(folder: Path) -> list[Any]:
    """All runs of a project."""
    from brats_cascade.tracking.store import open_store

    client, experiment = open_store(folder)
    return list(client.search_runs([experiment]))


def _train_here(folder: Path, *, name: str = "two_path") -> None:
    """The stage without a process of its own."""
    train(Project(folder), load_params(folder / "params.yaml"), name)


@pytest.mark.slow
def test_a_killed_training_ends_as_if_it_had_not_been(make_project) -> None:
    whole, killed = make_project("whole"), make_project("killed")
    _finish(whole)
    _kill_at(killed, phase=1, step=15)
    opened = json.loads((killed / ".work/train/two_path/run.json").read_text())["run_id"]
    _kill_at(killed, phase=2, step=10)
    log = _finish(killed)
    assert "resuming from phase 2, step 1" in log or "resuming from phase 2, step 2" in log
    expected, found = (pd.read_csv(folder / "models/two_path/history.csv") for folder in (whole, killed))
    assert list(found["step"]) == [30, 60, 70, 80]
    pd.testing.assert_frame_equal(found, expected, rtol=0, atol=1e-6, check_dtype=False)
    assert not (killed / ".work/train/two_path").exists()

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{killed / 'mlflow.db'}")
    [run] = _runs(killed)
    assert run.info.run_id == opened
    assert read_note("two_path", root=killed) == {"run_id": opened, "logged": True}
    assert run.data.tags["weights"] == weights_of(killed, name="two_path")
    curve = client.get_metric_history(opened, "phase1/loss") + client.get_metric_history(opened, "phase2/loss")
    assert [point.step for point in curve] == [30, 60, 70, 80]  # every row once, whatever was killed
    np.testing.assert_allclose([point.value for point in curve], found["loss"], atol=1e-6)
    records = [json.loads((folder / "models/two_path/record.json").read_text()) for folder in (whole, killed)]
    assert records[0] == records[1] and records[0]["labelled_pixels"] > 0


@pytest.mark.slow
def test_other_settings_after_a_kill_open_a_new_run_and_start_anew(make_project, caplog) -> None:
    folder = make_project("changed")
    _kill_at(folder, phase=1, step=5)
    note = folder / ".work/train/two_path/run.json"
    opened = json.loads(note.read_text())["run_id"]
    yaml = YAML(typ="safe")
    tree = yaml.load(folder / "params.yaml")
    tree["train"].update({"steps": 4, "phase2_steps": 2, "checks": 1, "l2": 0.001})
    yaml.dump(tree, folder / "params.yaml")
    with caplog.at_level("INFO"):
        _train_here(folder)
    assert "has other settings or data; starting a new training" in caplog.text
    assert read_note("two_path", root=folder)["run_id"] not in ("", opened)
    assert {run.info.run_id: run.info.status for run in _runs(folder)} == {
        opened: "KILLED", read_note("two_path", root=folder)["run_id"]: "FINISHED"
    }  # fmt: skip
    assert list(pd.read_csv(folder / "models/two_path/history.csv")["step"]) == [4, 6]


def test_an_experiment_is_trained_by_one_process_at_a_time(make_project) -> None:
    folder = make_project("twice")
    with (
        claimed(folder / ".work/train/.two_path.lock"),
        pytest.raises(UserError, match=f"two_path is being trained by process {os.getpid()}; wait for its end"),
    ):
        _train_here(folder)
    assert not (folder / "mlflow.db").exists() and not (folder / "models").exists()


@pytest.mark.slow
def test_an_experiment_called_as_a_cache_takes_nothing_from_it(make_project) -> None:
    folder = make_project("named")
    others = [folder / ".work" / name / "kept" for name in ("phase1", "sweep", "train")]
    for path in others:
        path.parent.mkdir(parents=True)
        path.touch()
    yaml = YAML(typ="safe")
    tree = yaml.load(folder / "params.yaml")
    tree["train"].update({"steps": 4, "phase2_steps": 2, "checks": 1})
    # It trains its own CNN 1, and gives CNN 2 its scores as the earlier work does.
    own = {"architecture": "mf_cascade", "builds_on": "data/patches", "cnn1_output": "relu_batch"}
    tree["experiments"] = {"phase1": own}
    tree["sweep"]["experiment"] = "phase1"
    yaml.dump(tree, folder / "params.yaml")
    _train_here(folder, name="phase1")
    assert all(path.is_file() for path in others) and not (folder / ".work/train/phase1").exists()

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    first = pd.read_csv(folder / "models/phase1/history_cnn1.csv")
    assert list(first["step"]) == [4, 6]
    run = read_note("phase1", root=folder)["run_id"]
    [point] = client.get_metric_history(run, "cnn1/phase2/validation_loss")
    assert point.value == pytest.approx(first["validation_loss"].iloc[1])


@pytest.mark.slow
def test_a_server_that_is_away_does_not_lose_the_training(make_project, caplog, monkeypatch) -> None:
    folder = make_project("alone")
    yaml = YAML(typ="safe")
    tree = yaml.load(folder / "params.yaml")
    tree["train"].update({"steps": 2, "phase2_steps": 2, "checks": 1})
    yaml.dump(tree, folder / "params.yaml")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    _train_here(folder)
    assert caplog.text.count("nothing more is logged there in this run") == 1
    assert read_note("two_path", root=folder) == {"run_id": "", "logged": False}
    assert list(pd.read_csv(folder / "models/two_path/history.csv")["step"]) == [2, 4]
    assert {path.name for path in (folder / "models/two_path").iterdir()} >= {"model.keras", "class_weights.csv"}


@pytest.mark.slow
def test_a_run_belongs_to_one_architecture_one_cnn1_and_one_code(make_project, monkeypatch) -> None:
    """A checkpoint of others is not used, so their run is not, either: its tags and curves would be of two trainings."""
    folder = make_project("other")
    (folder / "models/two_path").mkdir(parents=True)
    yaml, path = YAML(typ="safe"), folder / "params.yaml"
    tree = yaml.load(path)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("brats_cascade.stages.train.train_entry", interrupted)
    for architecture, cnn1, code, again in (
        ("input_cascade", "a", "x", False), ("input_cascade", "a", "x", True), ("local_cascade", "a", "x", False),
        ("local_cascade", "b", "x", False), ("local_cascade", "b", "y", False),
    ):  # fmt: skip
        before = len(_runs(folder))
        (folder / "models/two_path/model.keras").write_text(cnn1)
        monkeypatch.setattr("brats_cascade.training.fingerprint.computed_with", lambda code=code: code)
        tree["experiments"]["one"] = {"architecture": architecture, "builds_on": "models/two_path"}
        yaml.dump(tree, path)
        with pytest.raises(KeyboardInterrupt):
            _train_here(folder, name="one")
        runs = _runs(folder)
        assert len(runs) == before + (not again), (architecture, cnn1, code)
        assert runs[0].data.tags["architecture"] == runs[0].data.params["architecture"] == architecture
