"""A project that is copied, moved or oddly named: all of its runs and models stay inside the folder one works in."""

import hashlib
import shutil
import sqlite3
from pathlib import Path

import mlflow
import numpy as np
import pytest

from brats_cascade import tracking
from brats_cascade.models.build import load_network
from brats_cascade.tracking.model import fetch_folder
from brats_cascade.tracking.moved import PLACES
from brats_cascade.tracking.store import EXPERIMENT, tracking_uri


@pytest.fixture(autouse=True)
def own_store(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A project with a run, an artifact, a network and a registered version."""
    root = tmp_path_factory.mktemp("moved") / "a b ä"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("DVC_ROOT", raising=False)
        patch.chdir(root)
        log_and_register(root)
    return root


def log_and_register(root):
    """One run with an artifact and a network, which becomes `models:/m@champion`; in the end, a run of the user's own."""
    import keras

    image = keras.Input((None, None, 4))
    network = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    (root / "models").mkdir(exist_ok=True)
    network.save(root / "models" / "model.keras")
    with tracking.start_run("first", root=root, finish=True) as run:
        run.log_file(Path(__file__), folder="files")
        uri = run.log_model(network, metadata={"classes": [0, 1]}, folder=root / "models")
        assert run.online
    if not run.client.search_registered_models("name = 'm'"):
        run.client.create_registered_model("m")
    version = run.client.create_model_version("m", source=uri, run_id=run.id, model_id=uri.removeprefix("models:/"))
    run.client.set_registered_model_alias("m", "champion", version.version)
    mlflow.set_tracking_uri(tracking_uri(root))
    mlflow.set_experiment("the user's own")
    with mlflow.start_run() as own:
        mlflow.log_text("x", "note.txt")
    return run, network, own.info.run_id


def load(uri, *, root):
    return load_network(fetch_folder(uri, holding="model.keras", root=root) / "model.keras")


def places(root):
    """Every place of an artifact that the database names."""
    with sqlite3.connect(root / "mlflow.db") as connection:
        found = [
            value
            for table, column in PLACES
            for (value,) in connection.execute(f"SELECT {column} FROM {table}")
            if value and "mlruns" in value
        ]
    connection.close()
    return found


def content(root):
    """Path -> digest of all that lies in a folder, times included."""
    return {
        path.relative_to(root): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.parametrize(("name", "place"), [("a%20b", "."), ("what?#", "mlruns")])
def test_a_copy_logs_registers_and_loads_in_its_own_folder(name, place, original, tmp_path, monkeypatch):
    before = content(original)
    copy = tmp_path / name
    shutil.copytree(original, copy)
    monkeypatch.chdir(copy / place)
    network = load("models:/m@champion", root=copy)  # of the copy: loading comes first, and mends it too
    run, made, own = log_and_register(copy)
    found = load("models:/m@champion", root=copy)
    pixels = np.ones((1, 2, 3, 4), dtype=np.float32)
    np.testing.assert_array_equal(found(pixels).numpy(), made(pixels).numpy())
    assert network.count_params() == made.count_params()
    assert len(run.client.search_runs([run.client.get_experiment_by_name(EXPERIMENT).experiment_id])) == 2
    assert mlflow.artifacts.load_text(f"runs:/{own}/note.txt") == "x" and len(list(copy.rglob("note.txt"))) == 2
    assert all(place.startswith(f"{copy.as_uri()}/mlruns/") for place in places(copy))
    assert len(list(copy.rglob("test_moved_project.py"))) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]  # nothing beside it
    assert content(original) == before


def test_a_moved_project_does_not_make_its_old_folder_again(original, tmp_path, monkeypatch):
    old, new = tmp_path / "old", tmp_path / "deeper" / "new"
    shutil.copytree(original, old)
    monkeypatch.chdir(tmp_path)
    with tracking.start_run("before", root=old, finish=True) as run:
        run.log_file(Path(__file__))
    new.parent.mkdir()
    shutil.move(old, new)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{new / 'mlflow.db'}")  # as MLflow's own tools are started
    with tracking.start_run("after", root=new, finish=True) as run:
        run.log_file(Path(__file__))
    assert run.online and not old.exists()
    assert len([path for path in new.rglob("test_moved_project.py") if "files" not in path.parts]) == 2
    assert not any(str(old) in place for place in places(new))
