import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK
from layouts import tiny_volumes, write_layout

from brats_cascade import MODALITIES
from brats_cascade.data import ingest as module
from brats_cascade.data.cases import find_cases
from brats_cascade.data.facts import COLUMNS
from brats_cascade.data.ingest import ingest
from brats_cascade.data.prepare import CaseError, prepare_case
from brats_cascade.data.store import list_cases, open_case
from brats_cascade.params import Recipe

ROOT = Path(__file__).parents[2]
TILTED = np.array([[0.0, 0, -2.0, 30], [1.0, 0, 0, -4], [0, 1.5, 0, 9], [0, 0, 0, 1]])


def run(source, store, *, clip=0.01, workers=1):
    return ingest(
        find_cases(source),
        root=store,
        kept=store.with_name(f"{store.name}-kept"),
        recipe=Recipe(clip=clip),
        workers=workers,
    ).set_index("case")


def change(path, edit):
    """Rewrites a NIfTI file with edited voxels."""
    image = nibabel.load(path)
    voxels = np.asarray(image.dataobj).copy()
    replaced = edit(voxels)
    nibabel.Nifti1Image(voxels if replaced is None else replaced, image.affine).to_filename(path)


def stamps(store):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(store.rglob("*")) if path.is_file()}


def test_a_case_comes_out_as_an_independent_computation_has_it(tmp_path, write_nifti_case):
    folder = write_nifti_case(tmp_path / "LGG", "Brats18_A_1", affine=TILTED)
    (case,) = find_cases(tmp_path)
    prepared = prepare_case(case, recipe=Recipe(clip=0.05))
    canonical = {
        part: np.asarray(nibabel.as_closest_canonical(nibabel.load(folder / f"Brats18_A_1_{part}.nii.gz")).dataobj).T
        for part in ("flair", "t1", "t1ce", "t2", "seg")
    }
    brain = np.any([canonical[part] != 0 for part in ("flair", "t1", "t1ce", "t2")], axis=0)
    where = np.argwhere(brain)
    low, high = where.min(axis=0), where.max(axis=0) + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    assert prepared.meta["offset"] == low.tolist()
    assert prepared.meta["shape"] == list(brain.shape)
    assert prepared.meta["spacing"] == [1.5, 1.0, 2.0]
    np.testing.assert_array_equal(prepared.brain, brain[box])
    for channel, part in enumerate(("flair", "t1", "t1ce", "t2")):
        values = canonical[part][brain].astype(float)
        clipped = np.clip(canonical[part], *np.quantile(values, [0.05, 0.95]))
        expected = np.where(brain, (clipped - clipped[brain].mean()) / clipped[brain].std(), 0)[box]
        np.testing.assert_allclose(prepared.image[..., channel], expected, atol=1e-5)
        assert prepared.meta["facts"][f"{MODALITIES[channel]}_p99"] == pytest.approx(np.quantile(values, 0.99))
        assert prepared.meta["facts"][f"{MODALITIES[channel]}_std"] == pytest.approx(values.std())
    np.testing.assert_array_equal(prepared.labels, canonical["seg"][box])
    assert prepared.meta["facts"]["brain_fraction"] == pytest.approx(brain.mean())
    assert prepared.meta["facts"]["label_2"] == (canonical["seg"] == 2).sum()
    assert prepared.meta["facts"]["tumour_cm3"] == pytest.approx((canonical["seg"] > 0).sum() * 3 / 1000)
    assert prepared.meta["facts"]["labels"] == "0,1,2,4"
    assert prepared.image.flags.c_contiguous
    assert prepared.labels.flags.c_contiguous


def test_the_store_and_the_table(tmp_path, write_nifti_case, write_mha_case):
    write_nifti_case(tmp_path / "in" / "HGG", "Brats18_A_1", seed=1)
    write_nifti_case(tmp_path / "in" / "LGG", "Brats18_B_1", seed=2, truth=False)
    write_mha_case(tmp_path / "in" / "Image_Data" / "HG", "0001", seed=3)
    table = run(tmp_path / "in", tmp_path / "store")
    assert list_cases(tmp_path / "store") == ["Brats18_A_1", "Brats18_B_1", "HG_0001"]
    assert table["stored"].all()
    assert (table["problem"] == "").all()
    assert table["grade"].tolist() == ["high", "low", "high"]
    assert table["has_truth"].tolist() == [True, False, True]
    assert table["labels"].tolist() == ["0,1,2,4", "", "0,1,2,3,4"]
    assert table["label_4"].isna().tolist() == [False, True, False]
    assert table[["slices", "rows", "columns"]].to_numpy().tolist() == [[10, 14, 12]] * 3
    assert open_case(tmp_path / "store" / "Brats18_B_1").labels is None
    stored = open_case(tmp_path / "store" / "HG_0001")
    assert stored.image.shape == (*stored.brain.shape, 4)
    assert (np.asarray(stored.image)[~np.asarray(stored.brain)] == 0).all()
    truth = Path(find_cases(tmp_path / "in")[2].truth)
    assert stored.meta["sources"]["truth"][0]["sha256"] == hashlib.sha256(truth.read_bytes()).hexdigest()
    assert {column: str(table.reset_index()[column].dtype) for column in COLUMNS} == {
        column: str(pd.Series([], dtype=kind).dtype) for column, kind in COLUMNS.items()
    }
    table.reset_index().to_parquet(tmp_path / "t.parquet", index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table.reset_index())


def test_the_same_voxels_under_another_name_and_format_have_the_same_hash(tmp_path, write_nifti_case):
    folder = write_nifti_case(tmp_path / "HGG", "Brats18_A_1", seed=4)
    write_nifti_case(tmp_path / "HGG", "Brats18_B_1", seed=5)
    for part, name in (("flair", "Flair"), ("t1", "T1"), ("t1ce", "T1c"), ("t2", "T2")):
        target = tmp_path / "HG" / "0006" / f"VSD.Brain.XX.O.MR_{name}" / "VSD.mha"
        target.parent.mkdir(parents=True)
        image = SimpleITK.ReadImage(str(folder / f"Brats18_A_1_{part}.nii.gz"))
        SimpleITK.WriteImage(SimpleITK.Cast(image, SimpleITK.sitkFloat32), str(target))
    hashes = run(tmp_path, tmp_path / "store")["voxels_hash"]
    assert hashes["HG_0006"] == hashes["Brats18_A_1"] != hashes["Brats18_B_1"]


def test_a_second_run_does_nothing_and_says_the_same(tmp_path, monkeypatch, write_nifti_case):
    write_nifti_case(tmp_path / "in" / "HGG", "A", seed=1)
    write_nifti_case(tmp_path / "in", "B", seed=2, truth=False)
    first = run(tmp_path / "in", tmp_path / "store")
    before = stamps(tmp_path / "store")
    monkeypatch.setattr(module, "prepare_case", None)
    second = run(tmp_path / "in", tmp_path / "store")
    assert stamps(tmp_path / "store") == before
    pd.testing.assert_frame_equal(first, second)


def test_only_what_changed_is_made_again(tmp_path, write_nifti_case):
    for seed, name in enumerate("ABCDE"):
        write_nifti_case(tmp_path / "in", name, seed=seed)
    run(tmp_path / "in", tmp_path / "store")
    before = stamps(tmp_path / "store")
    change(tmp_path / "in/A/A_t1.nii.gz", lambda voxels: voxels + (voxels > 0))  # other voxels
    os.utime(tmp_path / "in/B/B_t1.nii.gz", ns=(5, 5))  # another time only
    shutil.rmtree(tmp_path / "in/C")  # gone
    (tmp_path / "in/D/D_seg.nii.gz").unlink()  # without truth now
    write_nifti_case(tmp_path / "in", "F", seed=9)  # new
    run(tmp_path / "in", tmp_path / "store")
    after = stamps(tmp_path / "store")
    assert list_cases(tmp_path / "store") == ["A", "B", "D", "E", "F"]
    kept = {path.parent.name for path, stamp in before.items() if after.get(path) == stamp}
    assert kept == {"B", "E"}
    assert open_case(tmp_path / "store" / "D").labels is None


def test_changed_voxels_beside_an_unchanged_header_are_noticed(tmp_path, write_mha_case):
    folder = write_mha_case(tmp_path / "in" / "Image_Data" / "HG", "0001")
    names = ("fl", "t1", "t1c", "t2")
    for name, part in zip(names, ("Flair", "T1", "T1c", "T2"), strict=True):
        image = SimpleITK.ReadImage(str(next(folder.glob(f"*{part}/*.mha"))))
        SimpleITK.WriteImage(image, str(tmp_path / f"{name}.mhd"))
    rows = ["case,labels,flair,t1,t1c,t2", f"A,five,{','.join(f'{name}.mhd' for name in names)}"]
    (tmp_path / "cases.csv").write_text("\n".join(rows))
    before = run(tmp_path / "cases.csv", tmp_path / "store").loc["A", "voxels_hash"]
    voxels = np.fromfile(tmp_path / "fl.raw", dtype="int16")
    np.where(voxels > 0, voxels + 1, 0).astype("int16").tofile(tmp_path / "fl.raw")
    assert run(tmp_path / "cases.csv", tmp_path / "store").loc["A", "voxels_hash"] != before


def test_equal_files_give_an_equal_store_anywhere_at_any_time(tmp_path, write_nifti_case):
    for place in ("here", "there"):
        write_nifti_case(tmp_path / place, "A", suffix=".nii")
        run(tmp_path / place, tmp_path / f"store_{place}")
        os.utime(tmp_path / place / "A" / "A_t1.nii", ns=(5, 5))
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / f"store_{place}" / "A").iterdir()}
        for place in ("here", "there")
    )
    assert first == second


def test_a_corrected_order_of_the_modalities_makes_it_again(tmp_path):
    images, labels = tiny_volumes()
    source = write_layout(tmp_path / "in", "decathlon", images=images, labels=labels)
    run(source, tmp_path / "store")
    [name] = list_cases(tmp_path / "store")
    before = open_case(tmp_path / "store" / name).image.copy()
    content = json.loads((source / "dataset.json").read_text())
    content["modality"] = {"0": "T1w", "1": "FLAIR", "2": "t1gd", "3": "T2w"}
    (source / "dataset.json").write_text(json.dumps(content))
    run(source, tmp_path / "store")
    np.testing.assert_array_equal(open_case(tmp_path / "store" / name).image, before[..., [1, 0, 2, 3]])


def test_another_grade_makes_it_again(tmp_path, write_nifti_case):
    write_nifti_case(tmp_path / "in" / "HGG", "A")
    run(tmp_path / "in", tmp_path / "store")
    (tmp_path / "in" / "HGG").rename(tmp_path / "in" / "LGG")
    assert run(tmp_path / "in", tmp_path / "store")["grade"].tolist() == ["low"]
    assert open_case(tmp_path / "store" / "A").meta["grade"] == "low"


def test_a_moved_cohort_is_not_made_again(tmp_path, write_nifti_case):
    write_nifti_case(tmp_path / "in", "A")
    run(tmp_path / "in", tmp_path / "store")
    before = stamps(tmp_path / "store")
    (tmp_path / "in").rename(tmp_path / "moved")
    assert run(tmp_path / "moved", tmp_path / "store")["folder"].tolist() == [str(tmp_path / "moved" / "A")]
    assert stamps(tmp_path / "store") == before


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path, write_nifti_case):
    for seed, name in enumerate("ABC"):
        write_nifti_case(tmp_path / "in", name, seed=seed)
    (tmp_path / "in/B/B_t2.nii.gz").write_bytes(b"")
    one = run(tmp_path / "in", tmp_path / "one")
    two = run(tmp_path / "in", tmp_path / "two", workers=2)
    pd.testing.assert_frame_equal(one, two)
    assert list_cases(tmp_path / "two") == ["A", "C"]
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def nan_at_one_place(voxels):
    voxels = voxels.astype("float32")
    voxels[5, 5, 5] = np.nan
    return voxels


def set_voxel(value):
    def edit(voxels):
        voxels = voxels.astype(np.result_type(voxels, type(value)))
        voxels[5, 6, 5] = value
        return voxels.astype("float32") if isinstance(value, float) else voxels.astype("int16")

    return edit


# Beside those of bad_inputs.py.
BAD = {
    "NaN": ("t1", nan_at_one_place, r"t1: expected finite numbers, 1 of 1680 voxels are NaN or infinite"),
    "infinite truth": ("seg", set_voxel(float("inf")), "truth: expected finite numbers"),
    "label above a byte": ("seg", set_voxel(257), "labels 0, 1, 2, 4, 257, expected"),
    "an image for a truth": (
        "seg",
        lambda voxels: np.indices(voxels.shape).sum(0).astype("int16"),
        "labels 0, 1, .*, 9 and 24 more,",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_case_is_told_in_one_line_and_stops_nobody(tmp_path, kind, write_nifti_case):
    part, edit, message = BAD[kind]
    write_nifti_case(tmp_path / "in", "A")
    write_nifti_case(tmp_path / "in", "B", seed=1)
    run(tmp_path / "in", tmp_path / "store")
    change(tmp_path / f"in/A/A_{part}.nii.gz", edit)
    table = run(tmp_path / "in", tmp_path / "store")
    assert list_cases(tmp_path / "store") == ["B"]
    assert table["stored"].tolist() == [False, True]
    problem = table.loc["A", "problem"]
    assert problem.startswith("A: ")
    assert "\n" not in problem
    with pytest.raises(CaseError, match=message) as caught:
        prepare_case(find_cases(tmp_path / "in" / "A")[0], recipe=Recipe(clip=0.01))
    assert str(caught.value) == problem


def test_what_was_measured_before_the_problem_is_in_the_row(tmp_path, write_nifti_case):
    for name in "ABCD":
        write_nifti_case(tmp_path, name)
    change(tmp_path / "A/A_t1.nii.gz", nan_at_one_place)
    change(tmp_path / "B/B_t1.nii.gz", lambda voxels: voxels[1:])
    change(tmp_path / "C/C_seg.nii.gz", set_voxel(9))
    (tmp_path / "D/D_t2.nii.gz").unlink()
    table = run(tmp_path, tmp_path / "store")
    assert table.loc["A", "same_grid"]
    assert not table.loc["A", "finite"]
    assert not table.loc["B", "same_grid"]
    assert pd.isna(table.loc["B", "finite"])
    assert table.loc["C", "unknown_labels"] == "9"
    assert table.loc["C", "brain_fraction"] > 0.2
    assert table.loc["D", "modalities"] == "flair,t1,t1c"
    assert "t2 is missing" in table.loc["D", "problem"]


def test_a_bad_truth_does_not_stop_a_prediction(tmp_path, write_nifti_case):
    folder = write_nifti_case(tmp_path, "A")
    (folder / "A_seg.nii.gz").write_bytes(b"")
    prepared = prepare_case(find_cases(tmp_path)[0], recipe=Recipe(clip=0.01), with_truth=False)
    assert prepared.labels is None


def test_an_unforeseen_error_ends_in_the_row_too(tmp_path, monkeypatch, write_nifti_case):
    write_nifti_case(tmp_path, "A")

    def fail(*arguments, **named):
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(module, "prepare_case", fail)
    assert run(tmp_path, tmp_path / "store")["problem"].tolist() == [
        "A: could not be ingested (ZeroDivisionError: two lines)"
    ]


def stage(folder):
    return subprocess.run([sys.executable, ROOT / "pipelines/ingest.py"], cwd=folder, capture_output=True, text=True)


@pytest.mark.slow
def test_the_stage_script(tmp_path, write_nifti_case):
    params = (ROOT / "params.yaml").read_text().replace("source: data/raw/phantom", "source: cohort")
    (tmp_path / "params.yaml").write_text(params)
    failed = stage(tmp_path)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("error: cohort: expected a folder of cases")
    assert "Traceback" not in failed.stderr
    write_nifti_case(tmp_path / "cohort" / "HGG", "Brats18_A_1")
    write_nifti_case(tmp_path / "cohort" / "HGG", "Brats18_B_1", omit=("t2",))
    done = stage(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Brats18_B_1: t2 is missing" in done.stderr
    table = pd.read_parquet(tmp_path / "data" / "cases.parquet")
    assert table["stored"].tolist() == [True, False]
    assert table["folder"].tolist()[0] == "cohort/HGG/Brats18_A_1"
    assert list_cases(tmp_path / "data" / "volumes") == ["Brats18_A_1"]
