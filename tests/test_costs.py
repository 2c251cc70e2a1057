import json

import pytest

from brats_cascade.costs import costs_path, keep_costs, read_facts, weights_of
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


def test_dvc_shows_the_seconds_alone(project):
    from dvc.repo.metrics.show import _extract_metrics

    keep(project, seconds=10.5)
    plain = json.loads(costs_path(project, name="E").read_text())
    assert _extract_metrics(plain, "") == {"E": {"seconds": 10.5}}


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
