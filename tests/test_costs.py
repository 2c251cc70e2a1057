import json

import pytest

from brats_cascade.commands.results import run as results
from brats_cascade.costs import (
    cost_of,
    costs_path,
    forget_costs_of_others,
    keep_costs,
    read_cases,
    read_facts,
    scores_of,
    weights_of,
)  # fmt: skip
from brats_cascade.errors import UserError
from brats_cascade.tracking.notes import keep_note, read_note


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    train(tmp_path, weights=b"weights")
    return tmp_path


def train(root, *, weights):
    (root / "models/E").mkdir(parents=True, exist_ok=True)
    (root / "models/E/model.keras").write_bytes(weights)
    (root / "models/E/record.json").write_text(json.dumps({"labelled_pixels": 9}))


def keep(root, *, seconds):
    weights = weights_of(root, name="E")
    keep_costs(
        root, name="E", what="training", result=weights, costs={"seconds": seconds, "git_commit": f"at {seconds}"}
    )


def test_costs_are_rewritten_only_with_the_result_that_they_belong_to(project):
    keep(project, seconds=10.5)
    keep_costs(project, name="E", what="evaluation", result="scores", costs={"cases": {"A": 2.5}})
    first = costs_path(project, name="E").read_text()
    keep(project, seconds=99)  # trained again, to the same weights
    keep_costs(project, name="E", what="evaluation", result="scores", costs={"cases": {"A": 7.5}})
    assert costs_path(project, name="E").read_text() == first
    assert read_facts(project, name="E") == {"labelled_pixels": 9, "seconds": 10.5, "git_commit": "at 10.5"}
    train(project, weights=b"others")
    assert read_facts(project, name="E") == {"labelled_pixels": 9}  # those on disk belong to another network
    keep(project, seconds=99)
    assert read_facts(project, name="E")["seconds"] == 99


def test_costs_of_another_machine_or_with_less_measured_are_replaced(project):
    def measured(**costs):
        keep_costs(project, name="E", what="training", result=weights_of(project, name="E"), costs=costs)
        return read_facts(project, name="E")["seconds"]

    assert measured(seconds=1, machine="a") == 1
    assert measured(seconds=2, machine="b") == 2
    assert measured(seconds=3, machine="b", cpu_seconds=5) == 3
    assert measured(seconds=4, machine="b") == measured(seconds=5, machine="b", cpu_seconds=5) == 3


def test_the_training_of_a_cascade_costs_that_of_its_first_cnn_too(project):
    costs = {"E": {"seconds": 20.0, "cpu_seconds": 30.0, "machine": "b"}, "cnn1": {"seconds": 10.0, "machine": "a"}}
    for name, spent in costs.items():
        (project / f"models/{name}").mkdir(parents=True, exist_ok=True)
        (project / f"models/{name}/model.keras").write_text(name)
        (project / f"models/{name}/record.json").write_text(json.dumps({"builds_on": "data/patches"}))
        keep_costs(project, name=name, what="training", result=weights_of(project, name=name), costs=spent)
    alone = {"training_seconds": 20, "training_cpu_seconds": 30, "machines": ["b"]}
    assert cost_of(project, name="E", dice=0.8) == alone
    (project / "models/E/record.json").write_text(json.dumps({"builds_on": "models/cnn1"}))
    together = cost_of(project, name="E", dice=0.8)
    assert together == {"training_seconds": 30, "machines": ["a", "b"]}  # not of both is the processor time known


def test_dvc_shows_the_seconds_alone(project):
    from dvc.repo.metrics.show import _extract_metrics

    keep(project, seconds=10.5)
    plain = json.loads(costs_path(project, name="E").read_text())
    assert _extract_metrics(plain, "") == {"seconds": 10.5}


def test_every_network_has_a_note_of_its_own_run_also_where_dvc_runs_in_a_folder_of_its_own(
    project, tmp_path, monkeypatch
):
    keep_note("E", run_id="first", logged=True, root=project)
    train(project, weights=b"others")
    assert read_note("E", root=project) == {"run_id": "", "logged": False}
    keep_note("E", run_id="second", logged=False, root=project)
    monkeypatch.setenv("DVC_ROOT", str(project))
    train(tmp_path / "queued", weights=b"weights")
    assert read_note("E", root=tmp_path / "queued") == {"run_id": "first", "logged": True}
    assert read_note("E", root=project) == {"run_id": "second", "logged": False}


def test_the_costs_of_the_stages_come_in_the_pipelines_order(tmp_path):
    with pytest.raises(UserError, match="no stage has run"):
        results(tmp_path, costs=True)
    (tmp_path / ".work/cost").mkdir(parents=True)
    for stage, argument, seconds in (("train", "E", 240.0), ("ingest", "", 12.44), ("sweep", "", 1.0)):
        note = {
            "stage": stage,
            "argument": argument,
            "seconds": seconds,
            "peak_memory_mb": 1234.0,
            "when": "2026-01-01",
        }
        (tmp_path / f".work/cost/{stage}.json").write_text(json.dumps(note))
    _, *rows, _ = (line.split() for line in results(tmp_path, costs=True).splitlines())
    assert rows == [["ingest", "12.4", "1.23", "2026-01-01"], ["train", "E", "240.0", "1.23", "2026-01-01"]]


def test_the_time_of_a_case_is_known_while_the_costs_belong_to_its_scores(project):
    def score(dice):
        (project / "metrics/E").mkdir(parents=True, exist_ok=True)
        (project / "metrics/E/cases.csv").write_text(f"case,patient,complete_dice\n007,7,{dice}\n")

    score(0.5)
    result = scores_of(project, name="E")
    keep_costs(project, name="E", what="evaluation", result=result, costs={"seconds": {"007": 2.5}})
    keep(project, seconds=10.5)
    assert read_cases(project, name="E")[["case", "seconds"]].to_numpy().tolist() == [["007", 2.5]]
    before = costs_path(project, name="E").read_text()
    forget_costs_of_others(project, name="E")
    assert costs_path(project, name="E").read_text() == before
    score(0.6)  # what DVC has brought back from its cache, without a run
    assert read_cases(project, name="E")["seconds"].isna().all()
    train(project, weights=b"others")
    forget_costs_of_others(project, name="E")
    assert json.loads(costs_path(project, name="E").read_text()) == {"seconds": None, "processes": []}
