"""The cross-validation: each case once, resumable, one parent run; on stand-ins for the stages, and once for real."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from layouts import case_facts
from ruamel.yaml import YAML

from brats_cascade.config import Params, load_params
from brats_cascade.data.store import write_case
from brats_cascade.errors import UserError
from brats_cascade.labels import REGIONS

ROOT = Path(__file__).parents[2]
NAMES = ("a", "b", "c", "d")


@pytest.fixture
def project(make_project: Callable[[str], Path], make_case, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four patients as ingest and validate leave them, and two experiments that end at once."""
    folder = make_project("crossval")
    facts = {name: {"patient": name, "grade": "high", "release": "brats2013", "scheme": "five"} for name in NAMES}
    for seed, name in enumerate(NAMES):
        case = make_case(name, seed=seed)
        meta = {"case": name, "offset": [0, 0, 0], "shape": list(case.brain.shape), "spacing": [1.0, 1.0, 1.0]}
        meta |= {"affine": np.eye(4).tolist(), "scheme": "five"}
        write_case(
            folder / "data/volumes", name=name, image=case.image, brain=case.brain, labels=case.labels,
            meta=meta | facts[name] | {"facts": case_facts(name)},
        )  # fmt: skip
    rows = [{"case": name, "voxels_hash": name, **facts[name]} for name in NAMES]
    pd.DataFrame(rows).to_parquet(folder / "data/cases.parquet")
    (folder / "data/verdict.json").write_text(json.dumps({"accepted": list(NAMES)}))
    yaml = YAML(typ="safe")
    tree = yaml.load(folder / "params.yaml")
    tree["train"].update({"steps": 3, "phase2_steps": 2, "checks": 1})
    tree["split"].update({"validation": 1, "test": 1})
    tree["patches"].update({"phase1": 200, "phase2": 200, "validation": 50})
    yaml.dump(tree, folder / "params.yaml")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def crossval(monkeypatch: pytest.MonkeyPatch):
    """The script as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "pipelines"))
    return importlib.import_module("crossval")


class Stages:
    """Stands in for the stages: leaves what they leave, and fails where it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.fails: tuple[str, ...] = ()
        self.machine, self.commit = "one", "abc"

    def __call__(self, command: list[str], *, cwd: Path, env: dict[str, str]) -> SimpleNamespace:
        words = (cwd.name, Path(command[1]).stem, *command[2:])
        self.asked.append(words)
        if words == self.fails:
            return SimpleNamespace(returncode=1)
        params = load_params(cwd / "params.yaml")
        test = list(NAMES[params.split.fold :: params.split.folds])
        if words[1] == "split":
            splits = {"train": ["x"], "validation": ["z", "y"], "test": test}
            (cwd / "data/splits.json").write_text(json.dumps(splits))
        elif words[1] == "train":
            run = {
                "run_id": "", "params": {}, "seconds": 10, "labelled_pixels": 100, "machine": self.machine, "release": "r",
                "architecture": params.experiments[words[2]].architecture, "classes": [0, 1, 2, 4], "git_commit": self.commit,
            }  # fmt: skip
            (cwd / "models" / words[2]).mkdir(parents=True, exist_ok=True)
            (cwd / "models" / words[2] / "record.json").write_text(json.dumps(run))
        elif words[1] == "evaluate":
            (cwd / "metrics" / words[2]).mkdir(parents=True, exist_ok=True)
            (cwd / "metrics" / words[2] / "summary.json").write_text(json.dumps({"validation": {"dice": 0.5}}))
            scores = ("dice", "ppv", "sensitivity", "specificity", "hd95", "truth_cm3")
            columns = {f"{region}_{score}": 0.25 * params.split.fold for region in REGIONS for score in scores}
            cases = pd.DataFrame({"case": test, "patient": test, "grade": "high", "seconds": 1.0, **columns})
            cases.to_csv(cwd / "metrics" / words[2] / "cases.csv", index=False)
        return SimpleNamespace(returncode=0)


@pytest.fixture
def stages(crossval, monkeypatch: pytest.MonkeyPatch) -> Stages:
    """The stand-in, with MLflow out of reach."""
    stand_in = Stages()
    monkeypatch.setattr(subprocess, "run", stand_in)
    monkeypatch.setattr(crossval.provenance, "git_commit", lambda root: "abc")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr("brats_cascade.tracking.open_store", _away)
    return stand_in


def _with_steps(params: Params, steps: int) -> Params:
    entry = params.experiments["two_path"]
    changed = entry.model_copy(update={"train": entry.train.model_copy(update={"steps": steps})})
    return params.model_copy(update={"experiments": {**params.experiments, "two_path": changed}})


def _fold(number: int, *, case: str):
    made = {"architecture": "two_path", "release": "r", "classes": [0, 1, 2, 4]}
    return importlib.import_module("_folds").Fold({"fold": number}, made, pd.DataFrame({"case": [case]}))


def _away(root: Path | None) -> None:
    raise ConnectionError("no server here")


def test_every_fold_runs_the_stages_and_the_summary_holds_every_case_once(project: Path, crossval, stages) -> None:
    crossval.main(load_params(), name="mf_cascade", folds=2)
    one = [("split",), ("patches",), ("train", "two_path"), ("evaluate", "two_path"), ("train", "mf_cascade"),
           ("evaluate", "mf_cascade")]  # fmt: skip
    assert stages.asked == [(f"fold{fold}", *words) for fold in (0, 1) for words in one]
    cases = pd.read_csv(project / "reports/crossval/mf_cascade/cases.csv")
    assert list(zip(cases["case"], cases["fold"], strict=True)) == [("a", 0), ("b", 1), ("c", 0), ("d", 1)]
    summary = json.loads((project / "reports/crossval/mf_cascade/summary.json").read_text())
    assert summary["scores"]["core"]["dice"] == 0.125 and summary["scores"]["patients"] == 4
    assert [fold["seconds"] for fold in summary["folds"]] == [20, 20]  # CNN 1's and its own
    assert [fold["validation_cases"] for fold in summary["folds"]] == [["y", "z"]] * 2
    assert summary["precision"] == "float32" and summary["params"]["train.precision"] == "float32"
    assert summary["n4"] is False and summary["git_commit"] == "abc" and summary["architecture"] == "mf_cascade"


def test_a_failed_stage_is_named_and_the_same_command_goes_on_there(project: Path, crossval, stages) -> None:
    stages.fails = ("fold1", "train", "two_path")
    with pytest.raises(UserError, match=r"fold1: train two_path ended with status 1.* same command again"):
        crossval.main(load_params(), name="two_path", folds=2)
    stages.asked, stages.fails = [], ()
    crossval.main(load_params(), name="two_path", folds=2)
    assert stages.asked == [("fold1", "train", "two_path"), ("fold1", "evaluate", "two_path")]
    stages.asked = []
    crossval.main(load_params(), name="two_path", folds=2)
    assert stages.asked == []


def test_no_fold_begins_after_one_has_failed(project: Path, crossval, stages) -> None:
    stages.fails = ("fold0", "patches")
    with pytest.raises(UserError, match="fold0: patches ended with status 1"):
        crossval.main(load_params(), name="two_path", folds=2)
    assert stages.asked == [("fold0", "split"), ("fold0", "patches")]


def test_folds_train_side_by_side_where_asked(project: Path, crossval, stages, monkeypatch) -> None:
    both = threading.Barrier(2, timeout=20)  # breaks unless the two folds wait here together

    def together(command: list[str], **settings):
        both.wait()
        return stages(command, **settings)

    crossval.main(load_params(), name="two_path", folds=2, share=project / "one_by_one")
    shutil.rmtree(project / ".work/crossval")
    monkeypatch.setattr(subprocess, "run", together)
    crossval.main(load_params(), name="two_path", folds=2, share=project / "together", at_once=2)
    one_by_one, two = (
        {path.name: path.read_text() for path in (project / name).iterdir()} for name in ("one_by_one", "together")
    )
    assert one_by_one == two and len(two) == 4
    with pytest.raises(UserError, match="--at-once: expected 1 or more, received 0"):
        crossval.main(load_params(), name="two_path", folds=2, at_once=0)


def test_other_settings_start_anew(project: Path, crossval, stages) -> None:
    crossval.main(load_params(), name="two_path", folds=2)
    stages.asked = []
    crossval.main(_with_steps(load_params(), 4), name="two_path", folds=2)
    assert sorted(words[1:] for words in stages.asked) == sorted(2 * [("train", "two_path"), ("evaluate", "two_path")])


def test_only_the_stages_that_depend_on_a_changed_setting_run_again(project: Path, crossval, stages) -> None:
    params = load_params()
    crossval.main(params, name="two_path", folds=2, only=[0])
    stages.asked = []
    other = params.evaluate.model_copy(update={"slices": params.evaluate.slices + 1})
    crossval.main(params.model_copy(update={"evaluate": other}), name="two_path", folds=2, only=[0])
    assert stages.asked == [("fold0", "evaluate", "two_path")]
    stages.asked = []
    other = params.split.model_copy(update={"seed": params.split.seed + 1})
    crossval.main(params.model_copy(update={"split": other}), name="two_path", folds=2, only=[0])
    assert [words[1:] for words in stages.asked] == [
        ("split",), ("patches",), ("train", "two_path"), ("evaluate", "two_path")
    ]  # fmt: skip


def test_settings_of_the_machine_alone_change_nothing(project: Path, crossval, stages, tmp_path: Path) -> None:
    params = load_params()
    crossval.main(params, name="two_path", folds=2, only=[0], share=tmp_path)
    stages.asked = []
    entry = params.experiments["two_path"]
    train = entry.train.model_copy(update={"checkpoint_steps": 7, "devices": "local"})
    changed = {
        "ingest": params.ingest.model_copy(update={"workers": 9, "scheduler": "tcp://127.0.0.1:1"}),
        "experiments": {**params.experiments, "two_path": entry.model_copy(update={"train": train})},
    }
    crossval.main(params.model_copy(update=changed), name="two_path", folds=2, only=[0], share=tmp_path)
    assert stages.asked == []


def test_experiments_share_the_cnn_1_of_their_folds(project: Path, crossval, stages) -> None:
    yaml = YAML(typ="safe")
    tree = yaml.load(project / "params.yaml")
    tree["experiments"]["one_phase"] = {**tree["experiments"]["mf_cascade"], "phase2_steps": 0}
    yaml.dump(tree, project / "params.yaml")
    crossval.main(load_params(), name="mf_cascade", folds=2)
    stages.asked = []
    crossval.main(load_params(), name="one_phase", folds=2)
    crossval.main(load_params(), name="two_path", folds=2)
    new = [("train", "one_phase"), ("evaluate", "one_phase")]
    assert stages.asked == [(f"fold{fold}", *words) for fold in (0, 1) for words in new]
    assert {path.name for path in (project / "reports/crossval").iterdir()} == {"mf_cascade", "one_phase", "two_path"}


def test_folds_of_two_machines_are_one_cross_validation(
    project: Path, crossval, stages, tmp_path: Path, capsys
) -> None:
    share = tmp_path / "share"
    crossval.main(load_params(), name="two_path", folds=2, only=[1], share=share)
    assert "1 of 2 folds are in" in capsys.readouterr().out and {words[0] for words in stages.asked} == {"fold1"}
    assert not (project / "reports/crossval").exists()
    shutil.rmtree(project / ".work")  # another machine, where the last digits of the volumes are others
    (project / "dvc.lock").write_text("stages: {ingest: {outs: [{path: data/volumes, md5: other}]}}")
    stages.asked, stages.machine, stages.commit = [], "two", "def"
    crossval.main(load_params(), name="two_path", folds=2, share=share)
    assert {words[0] for words in stages.asked} == {"fold0"}
    parts = {path: path.read_bytes() for path in (project / "reports/crossval/two_path").iterdir()}
    summary = json.loads(parts[project / "reports/crossval/two_path/summary.json"])
    assert [fold["machine"] for fold in summary["folds"]] == ["two", "one"]
    assert summary["git_commit"] == "abc, def" and summary["data_hashes"] == {"data/volumes": "other"}
    cases = pd.read_csv(project / "reports/crossval/two_path/cases.csv")
    assert list(zip(cases["case"], cases["fold"], strict=True)) == [("a", 0), ("b", 1), ("c", 0), ("d", 1)]
    assert summary["scores"]["core"]["dice"] == 0.125


def test_a_shared_fold_of_other_settings_is_refused_and_nothing_is_lost(
    project: Path, crossval, stages, tmp_path
) -> None:
    share, params = tmp_path / "share", load_params()
    crossval.main(params, name="two_path", folds=2, only=[0], share=share)
    kept = (share / "fold0.json").read_bytes()
    with pytest.raises(UserError, match=r"fold0.json: fold 0 of other settings.*; give another folder with --share"):
        crossval.main(_with_steps(params, 4), name="two_path", folds=2, share=share)
    assert (share / "fold0.json").read_bytes() == kept
    assert (project / ".work/crossval/2_folds/fold0/.done/train-two_path").exists()


def test_a_shared_fold_of_other_scans_is_refused(project: Path, crossval, stages, tmp_path) -> None:
    share, params, table = tmp_path / "share", load_params(), project / "data/cases.parquet"
    crossval.main(params, name="two_path", folds=2, only=[0], share=share)
    cases = pd.read_parquet(table)
    cases.assign(voxels_hash=["other", *cases["voxels_hash"][1:]]).to_parquet(table)
    with pytest.raises(UserError, match=r"fold0.json: fold 0 of other settings or other data"):
        crossval.main(params, name="two_path", folds=2, share=share)


def test_a_fold_counts_once_it_is_written_whole(project: Path, crossval, stages, tmp_path: Path, monkeypatch) -> None:
    def killed(*arguments, **options) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", killed)
    with pytest.raises(KeyboardInterrupt):
        crossval.keep_fold(tmp_path, fold=_fold(0, case="a"), settings="s")
    assert crossval.kept_fold(tmp_path, number=0, settings="s") is None


def test_a_case_in_two_folds_is_refused(crossval) -> None:
    with pytest.raises(
        UserError, match=r"one: every case must be in one fold, received a in fold 0, a in fold 1; train"
    ):
        crossval.summarise_folds([_fold(0, case="a"), _fold(1, case="a")], name="one", seed=1)


def test_folds_that_are_none_are_refused(project: Path, crossval, stages) -> None:
    with pytest.raises(UserError, match="--only: expected folds from 0 to 1, received 2, 7"):
        crossval.main(load_params(), name="two_path", folds=2, only=[7, 1, 2])
    assert stages.asked == []


def test_without_ingested_cases_the_cure_is_named(crossval, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(ROOT / "params.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"data/volumes: not found; run `dvc repro patches` first"):
        crossval.main(params, name="two_path", folds=2)


def test_a_fold_knows_the_hashes_of_its_voxels_alone(project: Path, crossval, stages) -> None:
    stages.fails = (
        "fold0",
        "train",
        "two_path",
    )  # what a killed training leaves is not to be gone on with on other voxels
    for md5 in ("one", "other"):
        stages_of = {"ingest": ("data/volumes", md5), "patches": ("data/patches", "p")}
        lock = {stage: {"outs": [{"path": path, "md5": digest}]} for stage, (path, digest) in stages_of.items()}
        (project / "dvc.lock").write_text(json.dumps({"stages": lock}))
        with pytest.raises(UserError, match="fold0: train two_path ended"):
            crossval.main(load_params(), name="two_path", folds=2)
        hashes = crossval.provenance.data_hashes(project / ".work/crossval/2_folds/fold0")
        assert hashes == {"data/volumes": md5}  # the patches are the fold's own


@pytest.mark.slow
def test_the_real_stages_leave_one_parent_run_with_a_child_a_fold(project: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(ROOT / "pipelines/crossval.py"), "two_path", "--folds", "2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "4 cases of 4 patients" in done.stdout
    summary = json.loads((project / "reports/crossval/two_path/summary.json").read_text())
    cases = pd.read_csv(project / "reports/crossval/two_path/cases.csv")
    assert sorted(cases["case"]) == list(NAMES)
    for fold, rows in cases.groupby("fold"):
        splits = json.loads((project / f".work/crossval/2_folds/fold{fold}/data/splits.json").read_text())
        assert sorted(rows["case"]) == splits["test"] and not set(rows["case"]) & set(splits["train"])
        centres = pd.read_parquet(project / f".work/crossval/2_folds/fold{fold}/data/patches/phase1.parquet")
        assert set(centres["case"]) == set(splits["train"])
    np.testing.assert_allclose(summary["scores"]["complete"]["dice"], cases["complete_dice"].mean())

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("brats-cascade")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    [parent] = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = {run.info.run_id: run for run in runs if run is not parent}
    assert parent.info.run_id == summary["run_id"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children.values()} == {parent.info.run_id}
    assert [children[fold["run_id"]].data.tags["fold"] for fold in summary["folds"]] == ["0 of 2", "1 of 2"]
    assert parent.data.metrics["test/complete/dice"] == pytest.approx(cases["complete_dice"].mean())
