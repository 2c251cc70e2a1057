"""The whole pipeline, tiny, through DVC as a user runs it: every stage, a no-op, and what a change reruns."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from processes import MEASURED
from ruamel.yaml import YAML
from tiny import EXPERIMENTS, LEARNING, change, dvc, finished_project, git, shell

from brats_cascade.costs import read_cases, read_facts

AGAIN = """
import sys
from pathlib import Path
from typing import Any

from brats_cascade.params import load_params
from brats_cascade.project import Project
from brats_cascade.stages import compare, evaluate, ingest, patches, phantom, split, train, validate

project, params = Project(), load_params(Path("params.yaml"))
for stage in (phantom.phantom, ingest.ingest, validate.validate, split.split, patches.patches):
    stage(project, params)
for name in sys.argv[1:]:
    train.train(project, params, name)
    evaluate.evaluate(project, params, name)
compare.compare(project, params)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project that was run once with a tiny cohort and tiny networks, and committed."""
    return shutil.copytree(
        finished_project(tmp_path_factory), tmp_path_factory.mktemp("pipeline") / "project", symlinks=True
    )


def lock(project: Path) -> dict[str, Any]:
    """What DVC has noted of the stages."""
    return dict(YAML(typ="safe").load(project / "dvc.lock"))


@pytest.mark.slow
def test_every_stage_leaves_its_files(project: Path) -> None:
    verdict = json.loads((project / "data/verdict.json").read_text())
    assert len(verdict["accepted"]) == 5
    splits = json.loads((project / "data/splits.json").read_text())
    assert sorted(splits["train"] + splits["validation"] + splits["test"]) == sorted(verdict["accepted"])
    for name in EXPERIMENTS:
        scores = json.loads((project / f"metrics/{name}/summary.json").read_text())
        cases = read_cases(project, name=name)
        assert list(cases["case"]) == splits["test"]
        assert scores["complete"]["dice"] == pytest.approx(cases["complete_dice"].mean())
        history = pd.read_csv(project / f"models/{name}/history.csv")
        assert list(history["phase"]) == [1, 1, 2, 2]
        assert list(history["step"]) == [12, 24, 26, 28]
        note = json.loads((project / f".work/cost/train-{name}.json").read_text())
        assert 0 < read_facts(project, name=name)["seconds"] <= note["arithmetic_seconds"] < note["seconds"]
        note = json.loads((project / f".work/cost/evaluate-{name}.json").read_text())
        assert cases["seconds"].sum() * 0.9 < note["arithmetic_seconds"] < note["seconds"]
    page = (project / "reports/index.html").read_text()
    assert all(name in page for name in EXPERIMENTS)
    compared = json.loads((project / "reports/comparison.json").read_text())
    assert 0 < compared["baseline"]["complete"]["dice"] < 1


@pytest.mark.slow
def test_the_cascade_holds_the_first_experiments_network_unchanged(project: Path) -> None:
    import numpy as np

    from brats_cascade.models.files import load_trained

    first, _ = load_trained(project / "models/two_path")
    cascade, contract = load_trained(project / "models/input_cascade")
    assert contract.classes == (0, 1, 2, 3, 4)
    assert contract.data.source == "phantom" and {case.release for case in contract.data.cases} == {"phantom"}
    assert contract.data.spacing == {"slice": [4.0, 4.0], "row": [4.0, 4.0], "column": [4.0, 4.0]}
    splits = json.loads((project / "data/splits.json").read_text())
    seen = {name: [case.case for case in contract.data.cases if case.set == name] for name in ("train", "validation")}
    assert seen == {name: splits[name] for name in seen}
    for mine, theirs in zip(cascade.get_layer("cnn1").get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_mlflow_holds_each_run_with_the_same_scores(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("brats-cascade")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == set(EXPERIMENTS)
    for name, run in runs.items():
        assert run.info.status == "FINISHED"
        scores = json.loads((project / f"metrics/{name}/summary.json").read_text())
        for region in ("complete", "core", "enhancing"):
            for score in ("dice", "lesion_dice", "lesion_hd95", "nsd"):
                assert run.data.metrics[f"test/{region}/{score}"] == pytest.approx(scores[region][score])
        assert run.data.metrics["test/calibration/ece"] == pytest.approx(scores["calibration"]["ece"])
        assert run.data.params["train.tile"] == str(LEARNING["tile"])
        assert run.data.tags["architecture"] == name
        [case] = json.loads((project / "data/splits.json").read_text())["test"]
        curve = client.get_metric_history(run.info.run_id, f"slice_complete_f1/{case}")
        slices = pd.read_csv(project / f"metrics/{name}/slices.csv").dropna(subset="complete_f1")
        assert [(point.step, round(point.value, 6)) for point in sorted(curve, key=lambda point: point.step)] == [
            (int(row.slice), round(row.complete_f1, 6)) for row in slices.itertuples()
        ]
        pictures = {item.path for item in client.list_artifacts(run.info.run_id, "figures")}
        drawn = ("best_overlay", "learning_curves", "class_weights", "volume_agreement", "reliability")
        assert {f"figures/{name}.png" for name in drawn} <= pictures


@pytest.mark.slow
def test_a_second_repro_does_nothing_and_the_status_is_clean(project: Path) -> None:
    # Python leaves its bytecode in the folders that the stages depend on, some of it after a stage has ended.
    for folder in {path.parent for path in (project / "src").rglob("*.py")}:
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__/later.cpython-311.pyc").write_bytes(b"bytecode")
    assert "up to date" in dvc(project, "status")
    assert "Running stage" not in dvc(project, "repro")


@pytest.mark.slow
def test_a_change_of_train_reruns_training_and_what_follows_only(project: Path) -> None:
    change(project, train={"l2": 0.123})
    rerun = {line.split()[0].rstrip(":") for line in dvc(project, "status").splitlines() if line and line[0].isalpha()}
    git(project, "checkout", "-q", "params.yaml")
    assert rerun == {f"{stage}@{name}" for stage in ("train",) for name in EXPERIMENTS}
    assert "up to date" in dvc(project, "status")


@pytest.mark.slow
def test_a_second_run_from_nothing_repeats_every_output(project: Path, tmp_path: Path) -> None:
    """The stages as functions, in one process, in a clone that holds what is in git alone."""
    tracked = git(project, "ls-files", "metrics").split()
    assert tracked == sorted(
        ["metrics/data.json", *(f"metrics/{at}{name}.json" for name in EXPERIMENTS for at in ("", "costs/"))]
    )
    clone = tmp_path / "clone"
    git(project, "clone", "-q", ".", str(clone))
    shell(clone, sys.executable, "-c", AGAIN, *EXPERIMENTS, **MEASURED)
    assert git(clone, "status", "--porcelain") == ""
    outs = [out["path"] for stage in lock(project)["stages"].values() for out in stage["outs"]]
    files = sorted(file for out in outs for file in (project / out, *(project / out).rglob("*")) if file.is_file())
    assert len(files) > 80
    assert [file for file in files if file.read_bytes() != (clone / file.relative_to(project)).read_bytes()] == []
