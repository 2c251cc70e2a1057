import json
import logging
import multiprocessing
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from limits import small_files

from brats_cascade import tracking
from brats_cascade.costs import keep_costs, weights_of
from brats_cascade.errors import UserError
from brats_cascade.evaluation.summary import flatten
from brats_cascade.models.build import load_network
from brats_cascade.tracking.model import fetch_folder, requirements
from brats_cascade.tracking.store import link, runs_page, tracking_uri
from brats_cascade.tracking.trained import describe, log_training, weight_statistics


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """One store for all tests: making its tables takes seconds."""
    return tmp_path_factory.mktemp("project")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)


def values(run, name):
    return [(metric.step, metric.value) for metric in run.client.get_metric_history(run.id, name)]


def history():
    return pd.DataFrame(
        {"phase": [1, 1, 2], "check": [0, 1, 0], "step": [10, 20, 25], "loss": [3.0, 2.0, 1.5],
         "validation_complete": [0.1, 0.2, np.nan]}
    )  # fmt: skip


@pytest.mark.slow
def test_a_training_run_is_left_open_and_evaluation_finishes_it(project, monkeypatch):
    with tracking.start_run(
        "two_path", tags={"git_commit": "abc", "architecture": "two_path"}, params={"width": 0.25}, root=project
    ) as run:
        run.log_history(history())
    stored = run.client.get_run(run.id)
    assert stored.info.status == "RUNNING"
    assert stored.info.run_name == "two_path"
    assert stored.data.params == {"architecture": "two_path", "width": "0.25"}
    assert stored.data.tags["mlflow.source.git.commit"] == "abc"
    assert next(iter(stored.data.metrics)) == "phase1/validation_complete"  # what MLflow's compare page draws
    assert values(run, "phase1/loss") == [(10, 3.0), (20, 2.0)]
    assert values(run, "phase2/loss") == [(25, 1.5)]
    assert values(run, "phase2/validation_complete") == []
    monkeypatch.setenv("DVC_EXP_NAME", "dewy-rams")  # DVC calls the rerun after a kill another experiment
    with tracking.start_run("two_path", run_id=run.id, finish=True, root=project) as again:
        assert not again.new and again.id == run.id
        again.log_scores({"core": {"dice": 0.5}, "cases": 3})
    stored = run.client.get_run(run.id)
    assert (stored.info.run_name, stored.data.tags["dvc.exp_name"]) == ("two_path [dewy-rams]", "dewy-rams")
    assert stored.info.status == "FINISHED"
    assert stored.data.metrics["test/core/dice"] == 0.5
    assert (project / "mlflow.db").is_file()
    experiment = run.client.get_experiment(stored.info.experiment_id)
    assert experiment.name == "brats-cascade"
    assert stored.info.artifact_uri.startswith((project / "mlruns").as_uri())


@pytest.mark.slow
def test_slices_tables_weights_and_figures(project):
    from matplotlib.figure import Figure

    slices = pd.DataFrame(
        {"case": ["A", "A", "B"], "slice": [4, 5, 9], "complete_f1": [0.5, np.nan, 0.7], "truth_pixels": [1, 0, 2],
         "predicted_pixels": [1, 0, 2], "earlier_work_pixel_agreement": [0.9, 1.0, 0.8]}
    )  # fmt: skip
    weights = pd.DataFrame({"case": ["A", "B"], "slice": [1, 2], "weight_0": [1.0, 3.0], "weight_1": [np.nan, 8.0]})
    picture = project / "overlay.png"
    Figure(figsize=(1, 1)).savefig(picture)
    with tracking.start_run("tables", root=project, finish=True) as run:
        run.log_slices(slices)
        run.log_table(slices, name="cases")
        run.log_table(weight_statistics(weights), name="class_weights")
        run.log_file(picture, folder="figures")
        assert run.online
    assert values(run, "slice_complete_f1/A") == [(4, 0.5)]
    assert values(run, "slice_earlier_work_pixel_agreement/A") == [(4, 0.9), (5, 1.0)]
    metrics = run.client.get_run(run.id).data.metrics
    place = Path(run.client.get_run(run.id).info.artifact_uri.removeprefix("file://"))
    table = json.loads((place / "tables/class_weights.json").read_text())
    assert table["columns"] == ["label", "mean", "min", "max", "present"]
    assert table["data"] == [[0, 2.0, 1.0, 3.0, 1.0], [1, 8.0, 8.0, 8.0, 0.5]]
    assert not any(name.startswith("class_weights") for name in metrics)  # they are no curve
    assert not any("pixels" in name and "agreement" not in name for name in metrics)
    stored = {item.path for folder in ("", "tables", "figures") for item in run.client.list_artifacts(run.id, folder)}
    assert {"tables/slices.json", "tables/cases.json", "tables/class_weights.json", "figures/overlay.png"} <= stored
    assert run.client.get_run(run.id).info.status == "FINISHED"


def test_a_run_that_is_evaluated_again_holds_the_new_tables_alone(project):
    table = pd.DataFrame({"case": ["A"], "dice": [0.5], "hd95": [np.nan]})
    with tracking.start_run("again", root=project) as run:
        run.log_table(table, name="cases")
    with tracking.start_run("again", run_id=run.id, finish=True, root=project) as run:
        run.log_table(table.assign(dice=0.75), name="cases")
        run.log_table(table, name="nine_slices")
        assert run.online
    stored = run.client.get_run(run.id)
    found = json.loads((Path(stored.info.artifact_uri.removeprefix("file://")) / "tables/cases.json").read_text())
    assert found == {"columns": ["case", "dice", "hd95"], "data": [["A", 0.75, None]]}
    listed = json.loads(stored.data.tags["mlflow.loggedArtifacts"])
    assert [entry["path"] for entry in listed] == ["tables/cases.json", "tables/nine_slices.json"]


def test_a_run_that_is_gone_is_replaced_and_said_so(project, caplog):
    with (
        caplog.at_level(logging.INFO, logger="brats_cascade.tracking"),
        tracking.start_run("lost", run_id="0" * 32, finish=True, tags={"a": "b"}, params={"k": 1}, root=project) as run,
    ):
        assert run.new and run.id != "0" * 32
    stored = run.client.get_run(run.id)
    assert (stored.info.run_name, stored.info.status, stored.data.tags["a"]) == ("lost", "FINISHED", "b")
    assert stored.data.params == {"k": "1"}
    assert "opening a new one" in caplog.text


def test_an_exception_marks_the_run_failed(project):
    with pytest.raises(ZeroDivisionError), tracking.start_run("fails", root=project) as run:
        raise ZeroDivisionError
    assert run.client.get_run(run.id).info.status == "FAILED"


@pytest.mark.slow
def test_a_model_comes_back_and_predicts_the_same(project, tmp_path):
    import keras

    image = keras.Input((None, None, 4))
    model = keras.Model(image, keras.layers.Conv2D(5, 3, activation="softmax")(image))
    model.save(tmp_path / "model.keras")
    with tracking.start_run("model", root=project, finish=True) as run:
        uri = run.log_model(model, metadata={"classes": (0, 1, 2, 3, 4)}, folder=tmp_path)
        assert run.online
    pixels = np.random.default_rng(0).normal(size=(2, 6, 7, 4)).astype(np.float32)
    found = load_network(fetch_folder(uri, holding="model.keras", root=project) / "model.keras")
    assert np.abs(found(pixels).numpy() - model(pixels).numpy()).max() == 0
    import mlflow

    info = mlflow.models.get_model_info(uri)
    assert info.signature.inputs.inputs[0].shape == (-1, -1, -1, 4)
    assert info.metadata == {"classes": [0, 1, 2, 3, 4]}
    assert info.run_id == run.id
    logged = run.client.get_logged_model(uri.removeprefix("models:/"))
    assert logged.experiment_id == run.client.get_experiment_by_name("brats-cascade").experiment_id
    assert logged.status == "READY"
    assert logged.artifact_location.startswith((project / "mlruns").as_uri())
    assert not Path("mlruns").exists() or not list(Path("mlruns").iterdir())  # nothing lands in the current folder


@pytest.mark.parametrize(("backend", "absent"), [("tensorflow", "jax"), ("jax", "tensorflow")])
def test_a_model_asks_for_the_backend_that_made_it_alone(backend, absent, monkeypatch):
    """Where only JAX is installed the version of TensorFlow cannot be told, and the run would go offline over it."""
    releases = {"keras": "3.1", backend: "2.0", "nibabel": "5.0"}
    monkeypatch.setattr("brats_cascade.tracking.model.version", releases.__getitem__)
    monkeypatch.setenv("KERAS_BACKEND", backend)
    assert absent not in releases
    assert requirements("nibabel") == ["keras==3.1", f"{backend}==2.0", "nibabel==5.0"]


def test_an_unknown_model_is_a_users_error(project):
    with pytest.raises(UserError, match=r"models:/m-0: no model could be loaded"):
        fetch_folder("models:/m-0", holding="model.keras", root=project)


def test_an_unreachable_server_costs_one_line_and_nothing_else(monkeypatch, caplog, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with tracking.start_run("offline", params={"a": 1}, root=tmp_path) as run:
        run.log_history(history())
        run.log_scores({"core": {"dice": 0.5}})
        assert run.log_model(None, metadata={}, folder=tmp_path) is None
    assert (run.id, run.online) == ("", False)
    with tracking.start_run("offline", run_id="f" * 32, finish=True, root=tmp_path) as run:
        run.log_slices(pd.DataFrame())
    warnings = [record.getMessage() for record in caplog.records if record.name == "brats_cascade.tracking.run"]
    assert len(warnings) == 2  # one a run
    assert all("\n" not in line and "every number stays in" in line for line in warnings)


def test_a_call_that_fails_half_way_silences_the_run(project, caplog):
    with tracking.start_run("half", root=project, finish=True) as run:
        run.log_scores({"core": {"dice": 0.5}})
        run.log_file(project / "no-such.png", folder="figures")
        assert not run.online
        run.log_scores({"core": {"dice": 0.7}})
    assert run.client.get_run(run.id).data.metrics == {"test/core/dice": 0.5}
    assert sum("nothing more is logged" in record.getMessage() for record in caplog.records) == 1


def test_a_full_disk_under_the_store_is_told_on_one_line(project, monkeypatch, capfd, caplog):
    with tracking.start_run("full", root=project, finish=True) as run:
        size = (project / "mlflow.db").stat().st_size
        with small_files(size):
            for step in range(200):
                run.log_later([(f"m{number}", 0.5, step) for number in range(50)])
            run.settle()
        assert not run.online
    assert "Traceback" not in capfd.readouterr().err
    assert [(record.name, record.exc_info) for record in caplog.records] == [("brats_cascade.tracking.run", None)]


def test_queued_experiments_log_to_the_real_repository(monkeypatch, tmp_path):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "real"))
    assert tracking_uri(tmp_path / "temporary") == f"sqlite:///{tmp_path / 'real' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5")
    assert tracking_uri(tmp_path) == "http://127.0.0.1:5"


def open_and_log(root, results):
    with tracking.start_run("parallel", root=root, finish=True) as run:
        run.log_scores({"x": 1.0})
    results.put((run.id, run.online))


@pytest.mark.slow
def test_two_processes_may_make_the_store_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=open_and_log, args=(tmp_path, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    assert len({run_id for run_id, online in found if online}) == 2


SUMMARY = {
    "complete": {"dice": 0.8125, "hd95": 7.0}, "core": {"dice": 0.1 + 0.2}, "cases": 3, "patients": 3,
    "without_postprocess": {"complete": {"dice": 0.75}},
    "postprocess": {"min_component": 50.0, "skull_distance": 0.0},
    "validation": {"complete": {"dice": 0.7}, "dice": 0.65, "dice_without": 0.6},
}  # fmt: skip


@pytest.mark.slow
def test_dvc_and_mlflow_hold_the_same_numbers(project, tmp_path):
    """`dvc metrics show` of a metrics/E/summary.json against the run's metrics: every number of one is in the other."""
    (tmp_path / "summary.json").write_text(json.dumps(SUMMARY))
    for words in (["init", "--no-scm", "-q"], ["metrics", "show", "summary.json", "--json"]):
        done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    [shown] = json.loads(done.stdout).values()
    theirs = flatten(shown["data"]["summary.json"]["data"])
    with tracking.start_run("E", root=project, finish=True) as run:
        run.log_summary(SUMMARY)
    logged = run.client.get_run(run.id).data
    ours = {
        name: value
        for name, value in {**logged.metrics, **logged.tags}.items()
        if name.startswith(("test/", "validation/", "postprocess."))
    }
    renamed = {
        name.removeprefix("test/").replace("postprocess.", "postprocess/"): float(value) for name, value in ours.items()
    }
    assert renamed == theirs


@pytest.mark.slow
def test_a_run_made_again_holds_what_training_had_logged(project, tmp_path):
    import keras

    from brats_cascade.models.build import build_model
    from brats_cascade.models.files import Contract, save_trained
    from brats_cascade.models.two_path import Style

    style = Style(width=0.03)
    contract = Contract("two_path", (0, 1, 2, 3, 4), ("flair", "t1", "t1c", "t2"), 0.01, style, None)
    keras.utils.set_random_seed(0)
    network = build_model("two_path", style=style)
    save_trained(tmp_path / "models" / "E", network=network, contract=contract)
    history().to_csv(tmp_path / "models" / "E" / "history.csv", index=False)
    history().iloc[:1].to_csv(tmp_path / "models" / "E" / "history_cnn1.csv", index=False)
    pd.DataFrame({"case": ["007"], "slice": [1], "weight_0": [1.5]}).to_csv(
        tmp_path / "models" / "E" / "class_weights.csv", index=False
    )
    (tmp_path / "models" / "E" / "record.json").write_text(json.dumps({"parameters": 7, "labelled_pixels": 9}))
    weights, made_in = weights_of(tmp_path, name="E"), {"python": "CPython 3", "packages": {"keras": "3"}}
    spent = {"seconds": 3.5, "environment": made_in}
    keep_costs(tmp_path, name="E", what="training", result=weights, costs=spent)
    with tracking.start_run("E", run_id="1" * 32, finish=True, root=project) as run:
        assert run.new
        log_training(run, folder=tmp_path / "models" / "E", spent={"cpu_seconds": 6.5})
        describe(run, "words")
        run.log_data({"train": ["a", "b"], "test": ["c"]}, volumes="feed" * 8 + ".dir", source="cohort")
        run.log_scores({"core": {"dice": 0.25}})
        assert run.online
    stored = run.client.get_run(run.id)
    assert (stored.data.metrics["training/seconds"], stored.data.metrics["training/cpu_seconds"]) == (3.5, 6.5)
    assert values(run, "phase1/loss") == [(10, 3.0), (20, 2.0)]
    assert values(run, "cnn1/phase1/loss") == [(10, 3.0)]
    assert stored.data.tags["mlflow.note.content"] == "words"
    contexts = {entry.dataset.name: entry.tags[0].value for entry in stored.inputs.dataset_inputs}
    assert contexts == {"train: 2 cases": "train", "test: 1 cases": "test"}
    assert stored.info.end_time - stored.info.start_time < 30_000 and stored.data.tags["weights"] == weights
    [output] = stored.outputs.model_outputs
    model = run.client.get_logged_model(output.model_id)
    scores = {metric.key: (metric.value, metric.dataset_name) for metric in model.metrics}
    assert model.tags["mlflow.note.content"] == "words"
    assert scores["test/core/dice"] == (0.25, "test: 1 cases")  # the network's own, on the test cases
    place = fetch_folder(f"models:/{output.model_id}", holding="model.keras", root=project)
    files = Path(stored.info.artifact_uri.removeprefix("file://"))
    assert json.loads((files / "environment.json").read_text()) == made_in
    assert (files / "class_weights.csv").read_text() == "case,slice,weight_0\n007,1,1.5\n"
    import mlflow

    assert mlflow.models.get_model_info(f"models:/{output.model_id}").metadata["environment"] == made_in
    for mine, theirs in zip(load_network(place / "model.keras").get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_run_that_is_gone_is_replaced_once(project):
    found = []
    for _ in range(2):
        with tracking.start_run("lost", run_id="2" * 32, finish=True, root=project) as run:
            found.append((run.id, run.new))
    assert found[0][0] == found[1][0] and [new for _, new in found] == [True, False]
    assert run.client.get_run(run.id).data.tags["replaces"] == "2" * 32


def test_the_pages_open_for_training_runs(project):
    with tracking.start_run("x", root=project, finish=True) as run:
        experiment = run.client.get_experiment_by_name("brats-cascade")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "not a medical device" in experiment.tags["mlflow.note.content"]


def test_the_link_leads_to_the_runs_wherever_they_are(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_PORT"):
        monkeypatch.delenv(name, raising=False)
    MlflowClient(tracking_uri=tracking_uri(tmp_path)).create_experiment("of somebody else")
    assert link(tmp_path).startswith("http://127.0.0.1:5000/#/experiments/2/runs?")
    monkeypatch.setenv("MLFLOW_PORT", "5001")  # as `mlflow ui` reads it
    assert link(tmp_path).startswith("http://127.0.0.1:5001/#/experiments/2/runs?")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@server:1/runs/")
    assert runs_page("7").startswith("https://server:1/runs/#/experiments/7/runs?")


def test_a_programming_error_is_no_failure_of_mlflow(project):
    with tracking.start_run("mistake", root=project, finish=True) as run:
        with pytest.raises(AttributeError):
            run.log_tags(7)
        with pytest.raises(KeyError):
            run.log_history(pd.DataFrame({"loss": [1.0]}))  # no column `phase`
        assert run.online
    with pytest.raises(AttributeError):
        tracking.start_run("mistake", root=project, tags=7).__enter__()


def test_a_relative_database_is_in_the_project_wherever_dvc_runs_the_stage(tmp_path, monkeypatch):
    """A queued experiment runs in a temporary folder, which DVC deletes together with what was written there."""
    (place := tmp_path / ".dvc/tmp/exps/tmp1").mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    for given, wanted in (
        ("sqlite:///runs/my.db", f"sqlite:///{tmp_path}/runs/my.db"),
        (f"sqlite:///{tmp_path}/a.db?timeout=9", f"sqlite:///{tmp_path}/a.db?timeout=9"),
        ("http://host:5000", "http://host:5000"),
        ("", f"sqlite:///{tmp_path}/mlflow.db"),
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
        assert tracking_uri() == wanted
