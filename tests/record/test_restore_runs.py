"""The runs behind the page in git, put into an empty MLflow: their scores are those of the kept tables of cases."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from brats_cascade.commands.restore import run
from brats_cascade.errors import UserError
from brats_cascade.tracking.store import open_store

ROOT, KEPT = Path(__file__).parents[2], Path("docs/results/real")
REGIONS = ("complete", "core", "enhancing")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One experiment and one cross-validation of the record."""
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    crossval = ("crossval/input_long_n4.json", "crossval/input_long_n4_cases.csv")
    for path in ("two_path.json", "two_path_cases.csv", "two_path_nine.csv", *crossval):
        (tmp_path / KEPT / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / KEPT / path, tmp_path / KEPT / path)
    page = json.loads((ROOT / KEPT / "page.json").read_text())
    (tmp_path / KEPT / "page.json").write_text(json.dumps({**page, "experiments": ["two_path"]}))
    shutil.copy(ROOT / "docs/results/real_two_path_best.jpg", tmp_path / "docs/results")
    return tmp_path


def _runs(project: Path) -> dict[str, Any]:
    client, experiment = open_store(project)
    return {one.data.tags["mlflow.runName"]: one for one in client.search_runs([experiment])}


def _cases(path: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / KEPT / path)


def test_every_run_is_there_once_with_the_scores_of_its_cases(project: Path) -> None:
    assert run("real", root=project) == 9  # the experiment, the cross-validation and its seven folds
    assert run("real", root=project) == 0
    runs, folds = _runs(project), _cases("crossval/input_long_n4_cases.csv")
    parent = runs["real: input_long_n4, 7 folds"]
    expected = {"real: two_path": _cases("two_path_cases.csv"), "real: input_long_n4, 7 folds": folds}
    expected |= {f"input_long_n4, fold {fold}": cases for fold, cases in folds.groupby("fold")}
    assert set(runs) == set(expected) and {one.info.status for one in runs.values()} == {"FINISHED"}
    for name, cases in expected.items():
        metrics = runs[name].data.metrics
        for region in REGIONS:
            assert metrics[f"test/{region}/dice"] == pytest.approx(cases[f"{region}_dice"].mean(), abs=1e-9), name
        assert runs[name].data.tags.get("mlflow.parentRunId") == (parent.info.run_id if "fold " in name else None)
        assert "experiment" not in runs[name].data.tags  # there is no network that a champion could be made of
    note = json.loads((ROOT / KEPT / "two_path.json").read_text())["run"]
    restored = runs["real: two_path"]
    assert restored.data.tags["mlflow.source.git.commit"] == note["git_commit"]
    assert restored.data.params["train.steps"] == "2200" and restored.data.metrics["training/seconds"] == 817.8
    client, _ = open_store(project)
    assert [one.path for one in client.list_artifacts(restored.info.run_id, "figures")] == [
        "figures/real_two_path_best.jpg"
    ]


def test_a_second_training_of_every_fold_has_runs_of_its_own(project: Path) -> None:
    folder = Path("crossval/again/input_long_n4")
    shutil.copytree(ROOT / KEPT / folder, project / KEPT / folder, ignore=shutil.ignore_patterns("fold6.json"))
    assert run("real", root=project) == 9  # of the second training nothing before all its folds are there
    shutil.copy(ROOT / KEPT / folder / "fold6.json", project / KEPT / folder)
    assert [run("real", root=project) for _ in range(2)] == [8, 0]  # its parent and seven folds
    runs, tables = _runs(project), {fold: _cases(f"{folder}/fold{fold}_cases.csv") for fold in range(7)}
    title = "real: input_long_n4 trained once more, 7 folds"
    expected = {title: pd.concat(tables.values())}
    expected |= {f"input_long_n4 trained once more, fold {fold}": cases for fold, cases in tables.items()}
    for name, cases in expected.items():
        found = runs[name].data
        assert found.metrics["test/complete/dice"] == pytest.approx(cases["complete_dice"].mean(), abs=1e-9), name
        assert found.tags.get("mlflow.parentRunId") == (runs[title].info.run_id if "fold " in name else None)
        assert not any(key.startswith("hash.") for key in found.params)  # the folds do not tell their data's
    told = runs[title].data.tags["mlflow.note.content"]
    assert (
        "2 cores" in told and "NVIDIA" not in told and "seven folds at once" not in told
    )  # that is of the first training


def test_a_run_cut_short_is_made_again_and_those_of_this_project_are_left_alone(project: Path) -> None:
    run("real", root=project)
    client, _ = open_store(project)
    runs = _runs(project)
    client.delete_tag(runs["input_long_n4, fold 3"].info.run_id, "replaces")  # it is the last thing that a run gets
    client.delete_tag(runs["real: two_path"].info.run_id, "replaces")
    note = json.loads((project / KEPT / "two_path.json").read_text())
    note["run"]["run_id"] = runs["real: two_path"].info.run_id  # as of an experiment trained here
    (project / KEPT / "two_path.json").write_text(json.dumps(note))
    assert run("real", root=project) == 1


def test_a_run_that_mlflow_never_held_is_restored_once_too(project: Path) -> None:
    for path in ("two_path.json", "crossval/input_long_n4.json"):
        note = json.loads((project / KEPT / path).read_text())
        for part in (note, note.get("run", {}), *note.get("folds", [])):
            part["run_id"] = ""
        note["params"] = {"train.steps": 4000, "folds": 7}
        (project / KEPT / path).write_text(json.dumps(note))
    assert [run("real", root=project) for _ in range(2)] == [9, 0]
    assert _runs(project)["input_long_n4, fold 3"].data.params["train.steps"] == "4000"


def test_an_mlflow_that_is_away_is_told_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match=r"MLflow at http://127.0.0.1:9: expected to store runs there"):
        run("real", root=project)
