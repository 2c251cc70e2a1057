"""Which MLflow run an evaluation is logged to, and which run is the champion."""

import json
import multiprocessing
import os
import signal
import time
from types import SimpleNamespace

import pandas as pd
import pytest

from brats_cascade import tracking
from brats_cascade.commands.results import run as results
from brats_cascade.project import Project
from brats_cascade.stages import champion as stages_champion
from brats_cascade.stages.champion import tell_mlflow
from brats_cascade.tracking.champion import Candidate, Contest, best, contest, why_worse
from brats_cascade.tracking.evaluated import evaluation_run
from brats_cascade.tracking.notes import keep_note, read_note
from brats_cascade.tracking.registry import ALIAS, CHALLENGER, NAME, point_to

REGION = {"dice": 0.8, "ppv": 0.5, "sensitivity": 0.6, "hd95": 7.0}
RULE = {"min_component": 3.0, "skull_distance": 0.0, "flatness": 0.0, "skull_volume": 0.0}
OPTIONS = {"flips": False, "slices": 4}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A database for all projects here: making its tables takes seconds."""
    return tmp_path_factory.mktemp("store") / "mlflow.db"


@pytest.fixture
def project(tmp_path, store, monkeypatch, request):
    """A project with ingested data and a split of its own, and the experiments `a` and `b`, trained."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "brats_cascade.tracking.evaluated.log_training", lambda run, folder: run.log_tags({"again": folder.name})
    )
    volumes = f"{{path: data/volumes, md5: {request.node.name}.dir}}"
    (tmp_path / "dvc.lock").write_text(f"schema: '2.0'\nstages: {{ingest: {{outs: [{volumes}]}}}}\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/splits.json").write_text(json.dumps({"train": ["x"], "validation": ["y"], "test": ["z"]}))
    for name in ("a", "b"):
        train(tmp_path, name=name)
    return tmp_path


def train(root, *, name, tracked=True, weights="", **facts):
    """What a training leaves: models/E, and its run, which is 100 s long."""
    folder = root / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    record = {"experiment": name, "architecture": "two_path", "procedure": "two_phase", "fold": "none", **facts}
    (folder / "record.json").write_text(json.dumps({**record, "params": {"train.width": 0.25}}))
    (folder / "model.keras").write_text(f"{root} {name} {weights}")
    run_id = ""
    if tracked:
        with tracking.start_run(name, tags=record, params={"train.width": 0.25}) as run:
            run.expect_score()
            run.finish(seconds=100)
        run_id = run.id
    keep_note(name, run_id=run_id, logged=tracked)
    return run_id


def evaluate(root, *, name, dice, **options):
    """What an evaluation leaves in files and in MLflow: the id of its run, None where the same was logged before."""
    region = {"dice": dice, "dice_without": dice}
    validation = {**dict.fromkeys(("complete", "core", "enhancing"), region), "dice": dice, "dice_without": dice}
    summary = {
        **dict.fromkeys(("complete", "core", "enhancing"), REGION), "patients": 1, "cases": 1, "postprocess": RULE,
        "validation": validation,
    }  # fmt: skip
    (root / "metrics" / name).mkdir(parents=True, exist_ok=True)
    (root / "metrics" / name / "summary.json").write_text(json.dumps(summary))
    flat = {**OPTIONS, **options}
    with evaluation_run(name, options=flat, summary=summary, params={"split.seed": 1}, seconds=5) as run:
        if run is not None:
            run.log_summary(summary)
        return run


def of(run):
    return run.client.get_run(run.id)


def test_an_evaluation_goes_into_the_run_of_its_training_and_leaves_its_duration(project):
    run = evaluate(project, name="a", dice=0.5)
    stored = of(run)
    assert run.id == read_note("a")["run_id"]
    assert stored.info.status == "FINISHED" and stored.info.end_time - stored.info.start_time == 100_000
    assert next(iter(stored.data.metrics)) == "validation/dice"  # what MLflow's compare page opens on
    assert stored.data.metrics["validation/dice"] == 0.5
    assert stored.data.params["evaluate.flips"] == "False"
    assert evaluate(project, name="a", dice=0.5) is None  # the very same again: nothing more to log
    history = run.client.get_metric_history(run.id, "test/core/dice")
    assert len(history) == 1


def test_other_evaluate_parameters_get_a_run_of_their_own_below_the_trainings(project):
    parent = evaluate(project, name="a", dice=0.5)
    before = of(parent)
    child = evaluate(project, name="a", dice=0.6, flips=True)
    assert evaluate(project, name="a", dice=0.6, flips=True) is None
    stored = of(child)
    assert child.id != parent.id and stored.data.tags["mlflow.parentRunId"] == parent.id
    assert stored.info.run_name == "a, flips=True"
    assert (stored.data.params["evaluate.flips"], before.data.params["evaluate.flips"]) == ("True", "False")
    assert stored.data.params["train.width"] == "0.25" and stored.data.params["split.seed"] == "1"
    assert stored.info.end_time - stored.info.start_time == 5_000
    assert of(parent).to_dictionary() == before.to_dictionary()
    assert contest(project, experiments=["a", "b"]).champion == Candidate("a", 0.6, child.id)


def test_a_training_without_mlflow_gets_one_run_however_often_it_is_evaluated(project):
    train(project, name="a", tracked=False, weights="others")
    run = evaluate(project, name="a", dice=0.5)
    assert run.new and of(run).data.tags["again"] == "a"
    assert evaluate(project, name="a", dice=0.5) is None
    (project / ".work/runs/a").rename(project / "notes")  # as after `rm -rf .work`
    run.log_tags({"weights": weights_tag(project)})
    assert evaluate(project, name="a", dice=0.5) is None
    assert evaluate(project, name="a", dice=0.7, slices=2).id != run.id
    assert read_note("a")["run_id"] == run.id


def weights_tag(root):
    from brats_cascade.costs import weights_of

    return weights_of(root, name="a")


def test_the_champion_of_a_grid_is_its_best_run_and_not_the_last(project, monkeypatch):
    evaluate(project, name="a", dice=0.25)
    evaluate(project, name="b", dice=0.24)
    found = {}
    for point, dice in {"first": 0.26, "best": 0.276, "last": 0.254}.items():
        monkeypatch.setenv("DVC_EXP_NAME", point)
        train(project, name="a", weights=point)
        found[point] = evaluate(project, name="a", dice=dice)
    monkeypatch.delenv("DVC_EXP_NAME")
    assert of(found["best"]).info.run_name == "a [best]" and of(found["best"]).data.tags["dvc.exp_name"] == "best"
    scores = {"validation": {"dice": 0.9}}
    for kind in ({"kind": "trial", "sweep": "s"}, {"ablation": "child", "seed": 2}):  # better, and no candidates
        with tracking.start_run("trial", tags={"experiment": "a", **kind}, finish=True) as run:
            run.log_summary(scores)
    for name, facts in {"fold": {"fold": "1 of 7"}, "early": {"procedure": "one_phase"}}.items():
        train(project, name=name, **facts)
        assert of(evaluate(project, name=name, dice=0.95)).data.tags["candidate"].startswith("no: ")
    with tracking.start_run("killed", tags=of(found["best"]).data.tags, root=project) as unfinished:
        unfinished.log_summary(scores)
    names = ["a", "b", "fold", "early"]
    assert contest(project, experiments=names).champion == Candidate("a", 0.276, found["best"].id, "best")
    compared = {
        "experiments": {
            name: {"patients": 1, **dict.fromkeys(("complete", "core", "enhancing"), REGION)} for name in names
        }
    }
    (project / "reports").mkdir()
    (project / "reports/comparison.json").write_text(json.dumps(compared))
    assert "0.276 (not registered: `dvc exp apply best`, then `dvc repro --force --single-item compare`)" in results(
        project
    )
    assert point_to(found["best"].id, root=project) is None
    for point in ("last", "best"):
        register(found[point])
    assert point_to(found["best"].id, root=project) == "2"
    assert "a of the DVC experiment best, 0.276 (models:/brats-cascade@champion)" in results(project)
    found["best"].client.set_registered_model_alias(NAME, ALIAS, "1")
    assert "0.276 (not registered" in results(project)


def register(run):
    if not run.client.search_registered_models(f"name = '{NAME}'"):
        run.client.create_registered_model(NAME)
    run.client.create_model_version(NAME, source=f"runs:/{run.id}/model", run_id=run.id)


def test_a_run_on_other_data_or_another_split_is_no_candidate(project):
    evaluate(project, name="a", dice=0.9)
    evaluate(project, name="b", dice=0.4)
    (project / "data/splits.json").write_text(json.dumps({"train": ["y"], "validation": ["x"], "test": ["z"]}))
    assert contest(project, experiments=[]).champion is None
    train(project, name="b", weights="new")
    run = evaluate(project, name="b", dice=0.3)
    assert contest(project, experiments=["b"]).champion == Candidate("b", 0.3, run.id)


def test_an_evaluation_that_is_logged_after_the_split_has_changed_is_no_candidate(project):
    """The store was away; the network may have been trained on patients that are held out now."""
    lock = (project / "dvc.lock").read_text()
    splits = {"data/splits.json": "first"}
    train(project, name="a", data_hashes=splits)
    for md5, dice, candidate in (("first", 0.9, "yes"), ("second", 0.95, "no")):
        split = f"split: {{outs: [{{path: data/splits.json, md5: {md5}}}]}}"
        (project / "dvc.lock").write_text(lock.replace("stages: {", f"stages: {{{split}, "))
        run = evaluate(project, name="a", dice=dice)
        assert of(run).data.tags["candidate"].partition(":")[0] == candidate
    assert contest(project, experiments=[]).champion.dice == 0.9


def test_an_evaluation_of_which_only_the_parameters_were_logged_does_not_give_them_to_another(project, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tracking.Run, "log_params", lambda run, params: run.go_offline(OSError("away")))
        evaluate(project, name="a", dice=0.5)
    run = evaluate(project, name="a", dice=0.6, flips=True)
    assert of(run).data.params["evaluate.flips"] == "True"
    with monkeypatch.context() as patch:
        tags = tracking.Run.log_tags
        patch.setattr(
            tracking.Run, "log_tags",
            lambda run, given: run.go_offline(OSError("away")) if "evaluation" in given else tags(run, given),
        )  # fmt: skip
        evaluate(project, name="b", dice=0.5)
    run = evaluate(project, name="b", dice=0.6, flips=True)
    assert of(run).data.params["evaluate.flips"] == "True"


def validation_table(*dice):
    """As metrics/E/validation.csv: one row per patient."""
    names = [f"{number:03d}" for number in range(len(dice))]
    return pd.DataFrame({"case": names, "patient": names, "mean_dice": dice})


MOST, FEW = (0.5,) * 8, (0.5,) * 4
BY_ONE_PATIENT = (0.97, *[0.45] * 7)  # the mean is higher


@pytest.mark.parametrize(
    ("challenger", "champion", "reason"),
    [
        (BY_ONE_PATIENT, MOST, ""),  # a gain of one patient outweighs in ranks what few points the others lose
        ((0.99, *[0.45] * 15), (0.5,) * 16, "worse in 15 of 16 validation patients, p 0.00"),
        ((0.2, 0.2, 0.2, 0.2), FEW, ""),  # too few patients for a test: the mean decides
        (MOST, MOST, ""),
        ((0.6, 0.4) * 4, MOST, ""),
    ],
)
def test_worse_is_what_most_validation_patients_say(challenger, champion, reason):
    said = why_worse(validation_table(*challenger), validation_table(*champion))
    assert said.startswith(reason) and bool(said) == bool(reason)


@pytest.mark.slow
def test_a_better_mean_by_one_patient_does_not_make_a_champion(project, monkeypatch, caplog):
    monkeypatch.setattr(stages_champion, "model_card", lambda *_, **__: "card")
    registered = []

    def register_here(folder, *, run_id, alias, **_):
        registered.append((folder.name, alias))
        register(SimpleNamespace(id=run_id, client=champion.client))
        return point_to(run_id, root=project, alias=alias)

    monkeypatch.setattr(stages_champion, "register_champion", register_here)
    (project / "models/b/model.json").write_text("{}")
    (project / "models/a/model.json").write_text("{}")
    names = ["a", "b"]
    champion = evaluate(project, name="a", dice=0.5)
    champion.log_table(validation_table(*[0.5] * 16), name="validation")
    tell_mlflow(Project(project), names=names)
    challenger = evaluate(project, name="b", dice=0.6)
    challenger.log_table(validation_table(0.99, *[0.45] * 15), name="validation")
    tell_mlflow(Project(project), names=names)
    assert registered == [("a", ALIAS), ("a", ALIAS), ("b", CHALLENGER)]
    assert "b, 0.600, has a higher mean but is not champion: worse in 15 of 16 validation patients" in caplog.text
    outcome = contest(project, experiments=names)
    assert (outcome.champion.run_id, outcome.challenger.run_id) == (champion.id, challenger.id)
    assert contest(project, experiments=names).champion.run_id == champion.id
    challenger.log_table(validation_table(*[0.6] * 16), name="validation")  # better for all
    tell_mlflow(Project(project), names=names)
    assert registered[-1] == ("b", ALIAS) and len(registered) == 4
    assert contest(project, experiments=names) == Contest(Candidate("b", 0.6, challenger.id))
    aliases = champion.client.get_registered_model(NAME).aliases
    assert set(aliases) == {ALIAS}


def test_without_mlflow_the_files_decide(project, monkeypatch):
    evaluate(project, name="a", dice=0.4)
    evaluate(project, name="b", dice=0.5)
    monkeypatch.setattr("brats_cascade.tracking.store.open_store", lambda root: (_ for _ in ()).throw(OSError("away")))
    assert contest(project, experiments=["a", "b"]).champion == Candidate("b", 0.5)


def test_of_equal_scores_the_first_is_the_best():
    assert best([Candidate("a", 0.5), Candidate("b", 0.7), Candidate("c", 0.7)]) == Candidate("b", 0.7)
    assert best([]) is None


def train_until_killed(store, begun):
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store}"
    with tracking.start_run("killed") as run:
        begun.put(run.id)
        time.sleep(60)


@pytest.mark.slow
def test_sigterm_closes_the_run_as_killed(project, store):
    context = multiprocessing.get_context("spawn")
    begun = context.Queue()
    process = context.Process(target=train_until_killed, args=(store, begun))
    process.start()
    run_id = begun.get(timeout=120)
    time.sleep(1)  # past the queue's own code
    os.kill(process.pid, signal.SIGTERM)
    process.join(timeout=60)
    assert process.exitcode == 143
    with tracking.start_run("killed", run_id=run_id, reopen=False) as run:
        assert of(run).info.status == "KILLED"


def test_a_run_that_was_deleted_does_not_compete(project):
    """Although its files are still in the folder; evaluated again, it does."""
    first = evaluate(project, name="a", dice=0.5)
    deleted = evaluate(project, name="b", dice=0.6)
    first.client.delete_run(deleted.id)
    assert contest(project, experiments=["a", "b"]).champion == Candidate("a", 0.5, first.id)
    again = evaluate(project, name="b", dice=0.6)
    assert contest(project, experiments=["a", "b"]).champion == Candidate("b", 0.6, again.id)
    child = evaluate(project, name="b", dice=0.7, flips=True)
    first.client.delete_run(child.id)
    assert contest(project, experiments=["a", "b"]).champion == Candidate("b", 0.6, again.id)


@pytest.mark.slow
def test_a_deleted_experiment_says_how_to_go_on(project, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project / 'own.db'}")
    train(project, name="a", weights="own")
    run = evaluate(project, name="a", dice=0.5)
    number = of(run).info.experiment_id
    run.client.delete_experiment(number)
    assert not evaluate(project, name="a", dice=0.6).online
    assert f"was deleted; `mlflow experiments restore -x {number}` brings it back" in caplog.text
    assert contest(project, experiments=["a"]).champion == Candidate("a", 0.6)  # from its files
    run.client.restore_experiment(number)
    assert evaluate(project, name="a", dice=0.6).online
