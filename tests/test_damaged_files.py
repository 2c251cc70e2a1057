"""The project's own files, damaged: every command names the file, and what makes it again, on one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from brats_cascade.commands import results
from brats_cascade.costs import costs_path, keep_costs, read_facts, weights_of
from brats_cascade.errors import UserError
from brats_cascade.project import Project, maker_of, read_json, read_state, read_table
from brats_cascade.provenance import data_hashes
from brats_cascade.report.last_run import scans_hash
from brats_cascade.shapes import problem_of
from brats_cascade.stages.compare import compare
from brats_cascade.stages.evaluate import HISTORY
from brats_cascade.stages.split import split
from brats_cascade.stages.train import run_in
from brats_cascade.stages.train_entry import open_data
from brats_cascade.stages.validate import validate
from brats_cascade.tracking.champion import candidates_here, data_tags
from brats_cascade.tracking.notes import keep_note, read_note, read_pending

DAMAGE = {
    "empty": b"",
    "zeros, as after a power cut": b"\0" * 64,
    "half": b'{"train": ["a',
    "a list": b"[]",
    "a number": b"7",
    "deep": b"[" * 100_000,
    "no text": b"\xff\xfe\x00",
    "merge marks": b'<<<<<<< HEAD\n{"train": []}\n=======\n{}\n>>>>>>> other\n',
}
# File -> its stage, what reads it, and contents that are JSON and wrong.
READERS: dict[str, tuple[str, Callable[[Path], Any], list[dict[str, Any]]]] = {
    "data/splits.json": (
        "split",
        lambda root: open_data(Project(root)),
        [{"train": "a", "validation": [], "test": []}, {"train": [7], "validation": [], "test": []}, {"train": []}],
    ),
    "data/verdict.json": ("validate", lambda root: split(Project(root), SimpleNamespace()), [{}, {"accepted": 3}]),
    "data/patches/summary.json": ("patches", lambda root: open_data(Project(root)), [{}, {"classes": ["0"]}]),
    "metrics/a/summary.json": (
        "evaluate@a",
        lambda root: compare(Project(root), SimpleNamespace(experiments={"a": None})),
        [
            {},
            {"complete": {}, "core": {}, "enhancing": {}, "validation": {}},
            {"complete": 1, "core": {}, "enhancing": {}},
        ],
    ),
    "models/a/record.json": ("train@a", lambda root: read_facts(root, name="a"), [{"params": []}, {"version": 2}]),
    "reports/comparison.json": ("compare", results.run, [{}, {"experiments": {"a": 1}}, {"experiments": {"a": {}}}]),
}
CASES = [(path, name) for path in READERS for name in (*DAMAGE, *range(len(READERS[path][2])))]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project as its stages leave it, without voxels."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    region = {"dice": 0.5}
    for path, content in {
        "data/splits.json": {"train": [], "validation": [], "test": []},
        "data/verdict.json": {"accepted": ["a"]},
        "data/patches/summary.json": {"classes": [0, 1]},
        "metrics/a/summary.json": {**dict.fromkeys(("complete", "core", "enhancing"), region), "validation": region},
        "models/a/record.json": {"params": {}},
        "reports/comparison.json": {"experiments": {}},
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps(content))
    centres = pd.DataFrame({"case": ["a"], "slice": [1], "row": [2], "column": [3], "label": [0]})
    for name in ("phase1", "phase2"):
        centres.iloc[:0].to_parquet(tmp_path / f"data/patches/{name}.parquet")
    pd.DataFrame({"case": ["a"], "patient": ["a"], "voxels_hash": ["0"]}).to_parquet(tmp_path / "data/cases.parquet")
    (tmp_path / "models/a/model.keras").write_text("weights")
    return tmp_path


def line_of(call: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("path", "damage"), CASES)
def test_a_damaged_file_is_one_line(root: Path, path: str, damage: str | int) -> None:
    stage, reader, wrong = READERS[path]
    content = DAMAGE[damage] if isinstance(damage, str) else json.dumps(wrong[damage]).encode()
    (root / path).write_bytes(content)
    line = line_of(lambda: reader(root))
    assert line.startswith(f"{root / path} is damaged (")
    assert line.endswith(f"): delete it and run `dvc repro {stage}` again")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet", None])
def test_damaged_tables(root: Path, content: bytes | None) -> None:
    params = SimpleNamespace(data=SimpleNamespace(labels="auto"))
    for path, stage, reader in (
        ("data/cases.parquet", "ingest", lambda: split(Project(root), params)),
        ("data/cases.parquet", "ingest", lambda: validate(Project(root), params)),
        ("data/patches/phase2.parquet", "patches", lambda: open_data(Project(root))),
    ):
        if content is None:
            pd.DataFrame({"other": [1]}).to_parquet(root / path)
        else:
            (root / path).write_bytes(content)
        assert line_of(reader).endswith(f"delete it and run `dvc repro {stage}` again")
    assert "is damaged" in line_of(lambda: scans_hash(root / "data/cases.parquet"))
    (root / "models/a/history.csv").write_bytes(b"phase,step\n1,2,3\n" if content is None else content)
    history = line_of(lambda: read_table(root / "models/a/history.csv", columns=HISTORY))
    assert history.endswith("delete it and run `dvc repro train@a` again")


def test_centres_outside_their_case_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = SimpleNamespace(name="a", brain=SimpleNamespace(shape=(3, 4, 5)))
    monkeypatch.setattr("brats_cascade.stages.train_entry._open", lambda project, names: [case])
    for place, problem in {(0, 0, 5): "outside a", (-1, 0, 0): "outside a", (2, 3, 4): "", (0, 0, 0): "in b"}.items():
        row = dict(zip(("slice", "row", "column"), place, strict=True))
        named = "b" if problem == "in b" else "a"
        pd.DataFrame([{"case": named, "label": 0, **row}]).to_parquet(root / "data/patches/phase1.parquet")
        if problem:
            assert f"phase1.parquet is damaged (centres {problem}" in line_of(lambda: open_data(Project(root)))
        else:
            open_data(Project(root))


@pytest.mark.parametrize("content", [*DAMAGE.values(), b"{}", b'{"facts": {"case": 1}, "spacing": [1, 1, 1]}'])
def test_a_case_whose_meta_is_damaged_is_one_line(root: Path, content: bytes) -> None:
    (root / "data/volumes/x").mkdir(parents=True)
    (root / "data/volumes/x/meta.json").write_bytes(content)
    (root / "data/splits.json").write_text(json.dumps({"train": ["x"], "validation": [], "test": []}))
    assert line_of(lambda: open_data(Project(root))).endswith(
        "meta.json is not there, or damaged; run the ingest stage"
    )


def test_a_lock_file_with_merge_marks_is_one_line(root: Path) -> None:
    for text in ("<<<<<<< HEAD\nstages:\n=======\n>>>>>>> other\n", "- 1\n", "stages: 7\n", "stages: {ingest: []}\n"):
        (root / "dvc.lock").write_text(text)
        for reader in (data_hashes, data_tags):
            assert line_of(lambda reader=reader: reader(root)).endswith(
                "`git checkout HEAD -- dvc.lock`, then `dvc repro`"
            )


@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_note_costs_no_more_than_the_note(root: Path, content: bytes) -> None:
    path = root / ".work/train/a/run.json"
    keep_note("a", run_id="x", logged=True)
    weights = weights_of(root, name="a")
    note, costs = root / f".work/runs/a/{weights}.json", costs_path(root, name="a")
    for file in (path, note, note.with_suffix(".pending.json"), costs, root / ".work/cost/train-a.json"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    assert run_in(path, params={}) == ""
    assert read_note("a") == {"run_id": "", "logged": False}
    assert read_pending("a", root=root) is None
    keep_costs(root, name="a", what="training", result=weights, costs={"seconds": 3})
    assert read_facts(root, name="a")["seconds"] == 3
    assert "no stage has run" in line_of(lambda: results.run(root, costs=True))


def test_a_missing_file_names_what_makes_it(root: Path) -> None:
    shutil.rmtree(root / "data")
    assert line_of(lambda: read_json(root / "data/splits.json")).endswith(
        "data/splits.json: not found; run `dvc repro split` first, in the project's root"
    )
    assert read_state(root / "data/splits.json") is None
    assert candidates_here(root, experiments=["a"])[0].dice == 0.5
    stages = {"metrics/data.json": "validate", "metrics/a.json": "evaluate@a", "metrics/costs/a.json": ""}
    assert {path: maker_of(Path(path)) for path in stages} == stages


def test_a_case_stored_by_an_earlier_commit_has_a_version_of_its_own() -> None:
    found = problem_of(Path("data/volumes/A/meta.json"), {"version": 4, "facts": {}, "spacing": [1.0]})
    assert found.startswith("facts.")  # and not "version"
    assert problem_of(Path("data/splits.json"), {"version": 4}).startswith("version")
