"""brats-cascade evaluate: anybody's segmentations, matched by name, checked, scored."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from layouts import BRATS_AFFINE, tiny_volumes, write_layout
from scipy.spatial.transform import Rotation
from sklearn.metrics import f1_score

from brats_cascade.commands.evaluate import run
from brats_cascade.errors import UserError
from brats_cascade.labels import SCHEMES, recode

AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])


def write(path: Path, labels: np.ndarray, *, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(labels.astype(np.int16), affine).to_filename(path)
    return path


def labels(seed: int, *, numbers=(0, 1, 2, 4), shape=(8, 9, 7)) -> np.ndarray:
    return np.random.default_rng(seed).choice(numbers, size=shape, p=[0.7, 0.1, 0.1, 0.1])


def pair(folder: Path, *, names=("A", "B", "C")) -> None:
    for seed, name in enumerate(names):
        write(folder / "truth" / f"{name}_seg.nii.gz", labels(seed))
        write(folder / "found" / f"{name}_pred.nii", labels(seed + 50))


def test_scores_agree_with_scikit_learn_and_intervals_are_there(tmp_path) -> None:
    pair(tmp_path)
    out = tmp_path / "new" / "scores.json"
    text, failed = run(tmp_path / "truth", prediction=tmp_path / "found", out=out)
    assert failed == 0
    content = json.loads(out.read_text())
    for seed, row in enumerate(content["cases"]):
        truth, found = labels(seed), labels(seed + 50)
        assert row["case"] == "ABC"[seed]
        for region, members in {"complete": (1, 2, 4), "core": (1, 4), "enhancing": (4,)}.items():
            expected = f1_score(np.isin(truth, members).ravel(), np.isin(found, members).ravel())
            assert row[f"{region}_dice"] == pytest.approx(expected, abs=1e-6)
        assert row["complete_truth_cm3"] == pytest.approx((truth > 0).sum() * 2 / 1000)
    summary = content["summary"]["complete"]
    assert summary["dice_low"] < summary["dice"] < summary["dice_high"]
    assert "mean" in text and f"{summary['dice']:.3f}" in text and content["not_scored"] == {}
    assert summary["lesion_dice"] == pytest.approx(np.mean([row["complete_lesion_dice"] for row in content["cases"]]))
    line = next(line for line in text.splitlines() if line.startswith("complete "))
    shown = (f"{summary['lesion_dice']:.3f}", f"{summary['lesion_hd95']:.1f}", f"{summary['nsd']:.3f}")
    assert [words for words in shown if words not in line] == [] and f"{summary['volume_bias']:+.1f} [" in line
    assert "BraTS-2023-Metrics" in content["lesion_definition"]


def test_a_place_that_cannot_be_written_is_found_before_anything_is_scored(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("brats_cascade.commands.evaluate.pair_labels", None)
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match=r"file'"):
        run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "file/scores.json")


def test_a_mirrored_header_is_the_same_segmentation_and_csv_is_a_table(tmp_path) -> None:
    truth = labels(1)
    write(tmp_path / "truth" / "A.nii.gz", truth)
    flipped = AFFINE @ np.array([[-1, 0, 0, 7], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    write(tmp_path / "found" / "A.nii.gz", truth[::-1], affine=flipped)
    run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "t.csv")
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["complete_dice"].tolist() == [1.0] and table["complete_hd95"].tolist() == [0.0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_oblique_truth_is_the_same_segmentation_with_any_axis_mirrored(tmp_path, axis) -> None:
    turn, truth = np.deg2rad(20), labels(1)
    oblique = np.eye(4)
    oblique[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    mirror = np.eye(4)
    mirror[axis, axis], mirror[axis, 3] = -1, truth.shape[axis] - 1
    write(tmp_path / "truth" / "A.nii.gz", truth, affine=oblique @ AFFINE)
    write(tmp_path / "found" / "A.nii.gz", np.flip(truth, axis), affine=oblique @ AFFINE @ mirror)
    _, failed = run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "t.csv")
    assert failed == 0 and pd.read_csv(tmp_path / "t.csv")["complete_dice"].tolist() == [1.0]


def test_a_grid_turned_about_its_own_diagonal_is_refused(tmp_path, capsys) -> None:
    truth = labels(1, shape=(9, 9, 9))
    turn = Rotation.from_rotvec(np.deg2rad(10) / np.sqrt(3) * np.ones(3)).as_matrix()
    turned = np.eye(4)
    turned[:3, :3] = turn
    write(tmp_path / "truth" / "A.nii.gz", truth, affine=np.eye(4))
    write(tmp_path / "found" / "A.nii.gz", truth, affine=turned)  # the first and the last voxel are where they were
    with pytest.raises(UserError, match="no prediction could be scored"):
        run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "t.csv")
    assert "is shifted by 0.843 mm relative to the ground truth, or rotated" in capsys.readouterr().err


def test_the_truths_of_a_releases_folder_and_two_single_files(tmp_path, write_nifti_case) -> None:
    case = write_nifti_case(tmp_path / "cases" / "HGG", "Brats18_A_1", shape=(12, 14, 10))
    truth = nibabel.load(case / "Brats18_A_1_seg.nii.gz")
    write(tmp_path / "found" / "Brats18_A_1_seg.nii.gz", np.asarray(truth.dataobj), affine=truth.affine)
    run(tmp_path / "cases", prediction=tmp_path / "found", out=tmp_path / "t.json")
    [row] = json.loads((tmp_path / "t.json").read_text())["cases"]
    assert (row["case"], row["grade"], row["core_dice"]) == ("Brats18_A_1", "high", 1.0)
    other = tmp_path / "found" / "whatever.nii.gz"
    (tmp_path / "found" / "Brats18_A_1_seg.nii.gz").rename(other)
    run(case / "Brats18_A_1_seg.nii.gz", prediction=other, out=tmp_path / "t.csv")
    assert pd.read_csv(tmp_path / "t.csv")["case"].tolist() == ["Brats18_A_1"]


def test_each_that_cannot_be_scored_is_named_with_its_reason(tmp_path, capsys) -> None:
    pair(tmp_path, names=("A", "B", "C", "D", "E", "G"))
    found = tmp_path / "found"
    write(found / "B_pred.nii", labels(9, shape=(8, 9, 6)))
    shifted = AFFINE.copy()
    shifted[0, 3] = 5
    write(found / "C_pred.nii", labels(9), affine=shifted)
    write(found / "D_pred.nii", labels(9, numbers=(0, 1, 2, 3)))
    (found / "E_pred.nii").rename(found / "F_pred.nii")
    write(found / "G_pred.nii", labels(9), affine=np.diag([-1.0, -1.0, 3.0, 1.0]))
    text, failed = run(tmp_path / "truth", prediction=found, out=tmp_path / "t.json", scheme="merged")
    assert failed == 5  # B, C, D, F and G; E has just not been predicted
    lines = capsys.readouterr().err.splitlines()
    reasons = {line.removeprefix("not scored: ")[0]: line for line in lines if line.startswith("not scored")}
    assert "expected the ground truth's shape (7, 9, 8) (slices, rows, columns), found (6, 9, 8)" in reasons["B"]
    assert "is shifted by 5 mm" in reasons["C"]
    assert "expected labels [0, 1, 2, 4] (merged), found also [3]" in reasons["D"]
    assert "not predicted" in reasons["E"] and "no ground truth of this name" in reasons["F"]
    assert "expected the ground truth's voxels of 2 x 1 x 1 mm, found 3 x 1 x 1" in reasons["G"]
    assert text.startswith("1 of 7 cases")


def test_the_scheme_is_told_by_the_numbers_where_that_is_possible(tmp_path) -> None:
    write(tmp_path / "truth" / "A.nii", labels(0, numbers=(0, 1, 2, 3)))
    write(tmp_path / "found" / "A.nii", labels(1))
    with pytest.raises(UserError, match=r"--scheme: labels \[0, 1, 2, 3\] fit merged-2023"):
        run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "t.json")
    run(
        tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "t.json", scheme="decathlon",
        prediction_scheme="merged",
    )  # fmt: skip
    [row] = json.loads((tmp_path / "t.json").read_text())["cases"]
    truth, found = labels(0, numbers=(0, 1, 2, 3)), labels(1)
    expected = f1_score((np.isin(truth, (2, 3))).ravel(), np.isin(found, (1, 4)).ravel())
    assert row["core_dice"] == pytest.approx(expected)


def test_label_files_of_one_patient_count_as_one_patient(tmp_path) -> None:
    pair(tmp_path, names=("BraTS-GLI-00005-000", "BraTS-GLI-00005-001", "Brats18_2013_20_1", "somebody_1"))
    run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "t.json")
    content = json.loads((tmp_path / "t.json").read_text())
    patients = ["BraTS-GLI-00005", "BraTS-GLI-00005", "Brats18_2013_20", "somebody_1"]
    assert [row["patient"] for row in content["cases"]] == patients and content["summary"]["patients"] == 3


def test_a_resection_cavity_is_not_taken_for_enhancing_tumour(tmp_path) -> None:
    write(tmp_path / "truth" / "BraTS-GLI-00005-100-seg.nii.gz", labels(0, numbers=(0, 2, 3, 4)))
    write(tmp_path / "found" / "BraTS-GLI-00005-100.nii.gz", labels(1, numbers=(0, 2, 3, 4)))
    with pytest.raises(UserError, match=r"--scheme: .*BraTS-GLI-00005-100.* 4 is the resection cavity"):
        run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "t.json")
    assert run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "t.json", scheme="five")[1] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out": "t.txt"}, r"expected a name ending in \.json or \.csv, got \.txt"),
        ({"truth": "nowhere"}, "nowhere: no such file or folder"),
        ({"prediction": "empty"}, "empty: no segmentation found"),
        (
            {"scheme": "six"},
            "--scheme: expected auto or one of five, edema-core, merged, merged-2023, decathlon, got 'six'",
        ),
    ],
)
def test_wrong_arguments_are_one_line(change, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    pair(tmp_path)
    Path("empty").mkdir()
    given = {"truth": "truth", "prediction": "found", "out": "t.json", "scheme": "auto", **change}
    with pytest.raises(UserError, match=message):
        run(Path(given["truth"]), prediction=Path(given["prediction"]), out=Path(given["out"]), scheme=given["scheme"])


def scores(out: Path) -> dict:
    content = json.loads(out.read_text())
    return {row["case"]: row for row in content["cases"]}


def test_predictions_beside_the_truths_are_scored_not_the_truths(tmp_path, write_nifti_case) -> None:
    cohort, out = tmp_path / "cohort", tmp_path / "t.json"
    for name in ("Brats18_A_1", "Brats18_B_1"):
        write_nifti_case(cohort, name)
    affine = nibabel.load(cohort / "Brats18_A_1" / "Brats18_A_1_seg.nii.gz").affine
    write(cohort / "Brats18_A_1" / "Brats18_A_1_pred.nii.gz", np.zeros((12, 14, 10)), affine=affine)
    text, failed = run(cohort, prediction=cohort, out=out)
    [row] = scores(out).values()
    assert (row["case"], row["complete_dice"], row["complete_predicted_cm3"], failed) == ("Brats18_A_1", 0, 0, 0)
    assert "not predicted" in json.loads(out.read_text())["not_scored"]["Brats18_B_1"]
    assert text.startswith("1 of 2 cases")
    (cohort / "Brats18_A_1" / "Brats18_A_1_pred.nii.gz").unlink()
    with pytest.raises(UserError, match="no prediction could be scored"):
        run(cohort, prediction=cohort, out=out)


def test_a_link_to_a_truth_is_no_prediction_and_a_copy_is_told(tmp_path) -> None:
    pair(tmp_path)
    truth, found, out = tmp_path / "truth", tmp_path / "found", tmp_path / "t.json"
    (found / "A_pred.nii").unlink()
    (found / "A_pred.nii.gz").symlink_to(truth / "A_seg.nii.gz")
    write(found / "B_pred.nii", labels(1))
    run(truth, prediction=found, out=out)
    assert set(scores(out)) == {"B", "C"} and scores(out)["B"]["complete_dice"] == 1
    notes = json.loads(out.read_text())["notes"]
    assert [note for note in notes if note.startswith("equal to the ground truth voxel for voxel: B;")]
    with pytest.raises(UserError, match="is the ground truth itself"):
        run(truth / "A_seg.nii.gz", prediction=found / "A_pred.nii.gz", out=out)


def test_truths_and_predictions_in_one_plain_folder_are_told_apart_by_name(tmp_path) -> None:
    write(tmp_path / "A_seg.nii.gz", labels(0))
    write(tmp_path / "A_pred.nii.gz", labels(50))
    run(tmp_path, prediction=tmp_path, out=tmp_path / "t.json")
    expected = f1_score((labels(0) > 0).ravel(), (labels(50) > 0).ravel())
    assert scores(tmp_path / "t.json")["A"]["complete_dice"] == pytest.approx(expected)


def test_every_case_that_was_seen_is_scored_or_listed(tmp_path) -> None:
    truth, found, out = tmp_path / "truth", tmp_path / "found", tmp_path / "t.json"
    names = ("linked", "twice", "foreign", "dangling", "scans", "truncated", "not_a_number", "two_truths", "bare")
    pair(tmp_path, names=names)
    (tmp_path / "elsewhere").mkdir()
    (found / "linked_pred.nii").rename(tmp_path / "elsewhere" / "linked_pred.nii")
    (found / "link").symlink_to(tmp_path / "elsewhere")  # a linked folder is looked through as well
    write(found / "twice_seg.nii.gz", labels(3))
    (found / "foreign_pred.nii").rename(found / "foreign.nrrd")
    (found / "dangling_pred.nii").unlink()
    (found / "dangling_pred.nii").symlink_to("nowhere")
    (found / "scans_pred.nii").rename(found / "scans_flair.nii")
    data = (truth / "truncated_seg.nii.gz").read_bytes()
    (truth / "truncated_seg.nii.gz").write_bytes(data[: len(data) // 2])
    nibabel.Nifti1Image(np.full((8, 9, 7), np.nan, np.float32), AFFINE).to_filename(truth / "not_a_number_seg.nii.gz")
    write(truth / "two_truths_gt.nii.gz", labels(2))
    (found / "bare").mkdir()
    (found / "bare_pred.nii").rename(found / "bare" / "prediction.nii")
    _, failed = run(truth, prediction=found, out=out)
    reasons = json.loads(out.read_text())["not_scored"]
    assert set(scores(out)) == {"linked", "bare"} and set(reasons) == set(names) - {"linked", "bare"}
    assert failed == 6  # all but scans, which has not been predicted
    for name, facts in {
        "twice": ("twice_pred.nii ", "twice_seg.nii.gz"),
        "two_truths": ("two_truths_gt.nii.gz", "two_truths_seg.nii.gz"),
        "foreign": ("foreign.nrrd", "convert"),
        "dangling": ("dangling_pred.nii", "link"),
        "scans": ("not predicted",),
        "truncated": ("truncated_seg.nii.gz",),
        "not_a_number": ("not_a_number_seg.nii.gz", "NaN"),
    }.items():
        assert all(fact in reasons[name] for fact in facts), reasons[name]


def test_labels_saved_through_a_scale_factor_are_rounded_and_others_refused(tmp_path, capsys) -> None:
    pair(tmp_path, names=("A", "B"))
    for name, seed in (("A", 50), ("B", 51)):
        header = nibabel.load(tmp_path / "found" / f"{name}_pred.nii").header  # int16, as of a loaded file
        voxels = labels(seed).astype(float) + (0.002 if name == "B" else 0)
        nibabel.Nifti1Image(voxels, AFFINE, header).to_filename(tmp_path / "found" / f"{name}_pred.nii")
    stored = nibabel.load(tmp_path / "found" / "A_pred.nii").get_fdata()
    assert 0 < np.abs(stored - labels(50)).max() < 1e-3
    _, failed = run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "t.json")
    expected = f1_score(np.isin(labels(0), (1, 4)).ravel(), np.isin(labels(50), (1, 4)).ravel())
    assert scores(tmp_path / "t.json")["A"]["core_dice"] == pytest.approx(expected)
    assert failed == 1 and "B_pred.nii" in capsys.readouterr().err


def test_what_empty_regions_count_as_is_told(tmp_path, capsys) -> None:
    for name, truth, found in (("A", 0, 0), ("B", 4, 0), ("C", 4, 4)):
        for folder, label in (("truth", truth), ("found", found)):
            write(tmp_path / folder / f"{name}.nii.gz", np.full((4, 4, 4), label))
    run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "t.json")
    rows = scores(tmp_path / "t.json")
    assert [rows[name]["core_dice"] for name in "ABC"] == [1, 0, 1]
    assert [rows[name]["core_hd95"] for name in "ABC"] == pytest.approx([0, 373.1287, 0])
    lines = capsys.readouterr().err.splitlines()
    assert "note: core: empty in both for 1, in the prediction alone for 1 of 3 cases" in lines
    assert set(json.loads((tmp_path / "t.json").read_text())["empty_regions"]) == {"in both", "in one alone"}


def test_a_listing_is_a_truth_and_a_broken_one_is_told(tmp_path, write_nifti_case) -> None:
    case = write_nifti_case(tmp_path / "in", "X")
    parts = {"flair": "flair", "t1": "t1", "t1c": "t1ce", "t2": "t2", "truth": "seg"}
    paths = [str(case / f"X_{ending}.nii.gz") for ending in parts.values()]
    listing = tmp_path / "cases.csv"
    listing.write_text(f"case,{','.join(parts)},labels\nmine,{','.join(paths)},merged\n")
    truth = nibabel.load(case / "X_seg.nii.gz")
    write(tmp_path / "found" / "mine.nii.gz", np.asarray(truth.dataobj), affine=truth.affine)
    run(listing, prediction=tmp_path / "found", out=tmp_path / "t.json")
    assert scores(tmp_path / "t.json")["mine"]["core_dice"] == 1
    listing.write_text("case\n")
    with pytest.raises(UserError, match="listing"):
        run(tmp_path, prediction=tmp_path / "found", out=tmp_path / "t.json")


def test_of_2012_complete_and_core_are_scored_and_enhancing_is_not_available(tmp_path, capsys) -> None:
    """The cohort lies in its release's layout; predictions hold 1 edema, 2 core, or labels that tell more."""
    out = tmp_path / "t.json"
    for seed, name in enumerate(("BRATS_HG0001", "BRATS_LG0002")):
        images, _ = tiny_volumes()
        truth = recode(labels(seed, numbers=(0, 1, 2, 3), shape=(12, 14, 10)), table={0: 0, 1: 2, 2: 1, 3: 4})
        write_layout(tmp_path / "w", "brats2012", images=images, labels=truth, affine=AFFINE)
        for path in (tmp_path / "w" / "BRATS_HG0001").iterdir():
            (tmp_path / "in" / name).mkdir(parents=True, exist_ok=True)
            path.rename(tmp_path / "in" / name / path.name.replace("BRATS_HG0001", name))
        found = labels(seed + 50, numbers=(0, 1, 2, 2), shape=(12, 14, 10))
        write(tmp_path / "found" / f"{name}_seg.nii.gz", found)
        finer = np.where(found == 2, 4, np.where(found == 1, 2, 0))
        write(tmp_path / "finer" / f"{name}_seg.nii.gz", finer)
    text, failed = run(tmp_path / "in", prediction=tmp_path / "found", out=out)
    assert failed == 0
    assert "enhancing: not available for 2 of 2 cases" in capsys.readouterr().err
    for seed, row in enumerate(scores(out).values()):
        truth = labels(seed, numbers=(0, 1, 2, 3), shape=(12, 14, 10))
        found = labels(seed + 50, numbers=(0, 1, 2, 2), shape=(12, 14, 10))
        # Of `truth` 2 was written as edema, which is 1 in 2012, and 1 and 3 as core.
        assert row["complete_dice"] == pytest.approx(f1_score((truth > 0).ravel(), (found > 0).ravel()))
        core = f1_score((np.isin(truth, (2, 3))).ravel(), (found == 2).ravel())
        assert row["core_dice"] == pytest.approx(core)
        assert all(value is None for key, value in row.items() if key.startswith("enhancing_"))
    summary = json.loads(out.read_text())["summary"]
    assert summary["enhancing"]["dice"] is None and summary["core"]["dice"] > 0
    assert [line.split()[-2] for line in text.splitlines()[1:5]] == ["-"] * 4
    run(tmp_path / "in", prediction=tmp_path / "found", out=tmp_path / "t.csv")
    assert pd.read_csv(tmp_path / "t.csv")["enhancing_dice"].isna().all()

    run(tmp_path / "in", prediction=tmp_path / "finer", out=tmp_path / "u.json", prediction_scheme="merged")
    for name, row in scores(tmp_path / "u.json").items():
        assert row["core_dice"] == scores(out)[name]["core_dice"]
        assert row["enhancing_dice"] is None and row["enhancing_truth_cm3"] is None
        assert row["enhancing_predicted_cm3"] == row["core_predicted_cm3"] > 0  # the prediction does tell it


def test_where_only_some_truths_tell_a_region_its_mean_is_that_of_these(tmp_path, write_nifti_case) -> None:
    case = write_nifti_case(tmp_path / "in" / "HGG", "Brats18_A_1")
    truth = nibabel.load(case / "Brats18_A_1_seg.nii.gz")
    write(tmp_path / "found" / "Brats18_A_1.nii.gz", np.asarray(truth.dataobj), affine=truth.affine)
    images, old = tiny_volumes()
    write_layout(tmp_path / "in", "brats2012", images=images, labels=old)
    own = recode(old, table=SCHEMES["edema-core"].from_canonical)
    write(tmp_path / "found" / "BRATS_HG0001.nii.gz", own, affine=BRATS_AFFINE)
    run(tmp_path / "in", prediction=tmp_path / "found", out=tmp_path / "t.json")
    summary = json.loads((tmp_path / "t.json").read_text())["summary"]
    assert summary["enhancing"]["dice"] == summary["core"]["dice"] == 1 and summary["cases"] == 2


def test_an_unknown_label_scheme_beside_the_predictions_is_refused(tmp_path) -> None:
    pair(tmp_path)
    beside = tmp_path / "found" / "dataset.json"
    for content in (
        "{}",
        "[1]",
        "not JSON",
        '{"label_scheme": "merged"}',
    ):  # anybody's file, or one that names a known scheme
        beside.write_text(content)
        assert run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "scores.json")[1] == 0
    for name in ("brats-2030", 7):
        beside.write_text(json.dumps({"label_scheme": name}))
        with pytest.raises(
            UserError, match=f"dataset.json: label_scheme: expected one of five, .*, found {name!r}; correct"
        ):
            run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "scores.json")
