"""The stages validate, split and patches, run one after the other on a small store."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brats_cascade import MODALITIES
from brats_cascade.data.facts import table
from brats_cascade.data.store import write_case
from brats_cascade.errors import UserError
from brats_cascade.params import SplitParams, load_params
from brats_cascade.project import Project
from brats_cascade.stages.patches import patches
from brats_cascade.stages.split import split
from brats_cascade.stages.validate import validate

ROOT = Path(__file__).parents[2]


def store_case(root, *, number, scheme):
    """Writes a case with every label inside its brain; returns its row of the per-case table."""
    rng = np.random.default_rng(number)
    name = f"case{number:02}"
    labels = rng.choice(5, size=(6, 12, 14), p=(0.8, 0.05, 0.05, 0.05, 0.05)).astype(np.uint8)
    brain = np.zeros(labels.shape, dtype=bool)
    brain[1:, 2:-2, 3:-3] = True
    labels[~brain] = 0
    raw = rng.uniform(1, 100, size=(*labels.shape, 4)).astype(np.float32)
    facts = {"case": name, "patient": name, "release": "brats2017", "grade": "high"}
    meta = {"scheme": scheme, "shape": [8, 14, 16], "offset": [1, 1, 1], "spacing": [2.0, 2.0, 2.0], "facts": facts}
    write_case(root, name=name, image=np.where(brain[..., None], raw, 0), brain=brain, labels=labels, meta=meta)
    row = {
        **{"case": name, "patient": name, "grade": "low" if number < 4 else "high", "release": "brats2017"},
        **{"scheme": scheme, "folder": name, "modalities": ",".join(MODALITIES), "has_truth": True, "problem": ""},
        **{"slices": 8, "rows": 14, "columns": 16, "same_grid": True, "finite": True, "stored": True},
        **{"spacing_slice": 2.0, "spacing_row": 2.0, "spacing_column": 2.0},
        **{"brain_fraction": float(brain.mean()), "voxels_hash": f"{number}"},
        **{f"label_{label}": int((labels == label).sum()) for label in range(5)},
        **{"labels": "0,1,2,3,4", "tumour_cm3": float((labels > 0).sum() * 8 / 1000), "tumour_outside_brain": 0},
    }
    intensities = {"min": 1.0, "p01": 2.0, "p50": 50.0, "p99": 99.0, "max": 100.0, "mean": 50.0, "std": 29.0}
    return row | {f"{modality}_{key}": value for modality in MODALITIES for key, value in intensities.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("schemes", "classes"), [(("five",), [0, 1, 2, 3, 4]), (("five", "merged"), [0, 1, 2, 4])])
def test_cases_go_from_the_table_to_the_patch_sets(tmp_path, monkeypatch, schemes, classes):
    params = load_params(ROOT / "params.yaml")
    params = params.model_copy(
        update={
            "split": params.split.model_copy(update={"validation": 2, "test": 2}),
            "patches": params.patches.model_copy(update={"phase1": 200, "phase2": 300}),
        }
    )
    monkeypatch.chdir(tmp_path)
    rows = [
        store_case(Path("data/volumes"), number=number, scheme=schemes[number % len(schemes)]) for number in range(9)
    ]
    rows[8]["voxels_hash"] = rows[3]["voxels_hash"]  # a twin
    bad = {"case": "bad", "patient": "bad", "grade": "high", "release": "brats2017", "scheme": "five", "folder": "bad"}
    bad |= {"has_truth": True, "stored": False, "problem": "bad: bad_t1.nii.gz: truncated; fetch it again"}
    table([*rows, bad]).to_parquet("data/cases.parquet", index=False)

    for stage in (validate, split, patches):
        stage(Project(), params)

    verdict = json.loads(Path("data/verdict.json").read_text())
    assert verdict["accepted"] == [f"case{number:02}" for number in range(8)]
    assert [entry["case"] for entry in verdict["set_aside"]] == ["bad", "case08"]
    assert verdict["warnings"] == []
    (note,) = verdict["notes"]
    assert note.startswith("spacing 2 x 2 x 2 mm")
    numbers = json.loads(Path("metrics/data.json").read_text())
    assert numbers == {
        **{"found": 10, "accepted": 8, "set_aside": 2, "warnings": 0, "patients": 8, "high": 4, "low": 4}
    }
    assert Path("reports/data/index.html").is_file()
    splits = json.loads(Path("data/splits.json").read_text())
    assert [len(splits[name]) for name in ("train", "validation", "test")] == [4, 2, 2]
    sets = {name: pd.read_parquet(f"data/patches/{name}.parquet") for name in ("phase1", "phase2")}
    assert [len(centres) for centres in sets.values()] == [200, 300]
    for centres in sets.values():
        assert set(centres["case"]) == set(splits["train"])
        assert set(centres["label"]) == set(classes)
        assert centres["case"].dtype == "str" and centres["slice"].dtype == np.int16
    assert set(sets["phase1"]["label"].value_counts()) == {200 // len(classes)}
    summary = json.loads(Path("data/patches/summary.json").read_text())
    assert summary["classes"] == classes and set(summary["counts"]) == set(sets)

    first = {path.name: path.read_bytes() for path in Path("data/patches").iterdir()}
    patches(Project(), params)
    assert first == {path.name: path.read_bytes() for path in Path("data/patches").iterdir()}
    options = params.patches.model_copy(update={"border": 5, "export": 7})
    patches(Project(), params.model_copy(update={"patches": options}))
    assert json.loads(Path("data/patches/summary.json").read_text())["excluded"]["near_border"] > 0
    for name in sets:
        centres = pd.read_parquet(f"data/patches/{name}.parquet")
        assert (centres[["row", "column"]] + 1 >= 5).all(axis=None)  # the stored box starts at 1
        assert np.load(f"data/patches/shards/{name}-00000.npz")["image"].shape == (len(centres), 7, 7, 4)
    patches(Project(), params)
    assert first == {path.name: path.read_bytes() for path in Path("data/patches").iterdir()}
    options = params.patches.model_copy(update={"border": 8})  # half of the shorter side of a slice and more
    with pytest.raises(
        UserError, match=r"^patches.border: expected brain at least 8 pixels .* 4 training cases; lower it$"
    ):
        patches(Project(), params.model_copy(update={"patches": options}))
    assert first == {path.name: path.read_bytes() for path in Path("data/patches").iterdir()}


def split_alone(project, rows, **options):
    """Runs the split stage alone on a table, all of it accepted; returns its result."""
    project.cases.parent.mkdir(exist_ok=True)
    table(rows).to_parquet(project.cases, index=False)
    project.verdict.write_text(json.dumps({"accepted": [row["case"] for row in rows]}))
    params = load_params(ROOT / "params.yaml")
    settings = SplitParams.model_validate({**params.split.model_dump(), "validation": 2, "test": 2, **options})
    split(project, params.model_copy(update={"split": settings}))
    return json.loads(project.splits.read_text())


@pytest.fixture
def rows(tmp_path):
    return [store_case(tmp_path / "volumes", number=number, scheme="five") for number in range(9)]


def test_lists_of_a_person_are_followed(rows, tmp_path):
    lists = {"validation": ["case03"], "test": ["case07", "case00"]}
    found = split_alone(Project(tmp_path), rows, lists=lists, folds=3)
    assert (found["validation"], found["test"]) == (["case03"], ["case00", "case07"])
    assert len(found["train"]) == 6


def test_folds_test_everybody_once(rows, tmp_path):
    rounds = [split_alone(Project(tmp_path), rows, folds=3, fold=fold) for fold in range(3)]
    assert sorted(case for found in rounds for case in found["test"]) == [row["case"] for row in rows]
    assert all(len(found["validation"]) == 2 for found in rounds)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lists": {"validation": ["case03"]}}, "received one list: fill the other"),
        ({"folds": 3, "fold": 7}, "expected split.fold from 0 to 2"),
    ],
)
def test_a_split_that_cannot_be_stops_the_stage(rows, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        split_alone(Project(tmp_path), rows, **options)
    assert not Project(tmp_path).splits.exists()


def test_equal_voxels_in_two_sets_stop_the_stage(rows, tmp_path):
    rows[1]["voxels_hash"] = rows[5]["voxels_hash"]
    lists = {"validation": ["case01"], "test": ["case05"]}
    with pytest.raises(UserError, match=r"leak: case05 \(test\) and case01 \(validation\) share the same voxels"):
        split_alone(Project(tmp_path), rows, lists=lists)
    assert not Project(tmp_path).splits.exists()


@pytest.mark.slow
def test_a_mixed_cohort_stops_the_gate_where_that_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    mixed = [store_case(Path("v"), number=number, scheme=("five", "merged")[number % 2]) for number in range(4)]
    Path("data").mkdir()
    table(mixed).to_parquet("data/cases.parquet", index=False)
    params = load_params(ROOT / "params.yaml")
    refusing = params.model_copy(update={"data": params.data.model_copy(update={"labels": "refuse"})})
    with pytest.raises(UserError, match=r"data\.labels: refuse"):
        validate(Project(), refusing)
    assert not Path("data/verdict.json").exists()
    validate(Project(), params)
    assert json.loads(Path("data/fingerprint.json").read_text())["labels"]["cases_with_merged_labels"] == 2
