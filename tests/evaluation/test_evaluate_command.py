"""brats-cascade evaluate: anybody's segmentations, matched by name, checked, scored."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from brats_cascade.commands.evaluate import run
from brats_cascade.errors import UserError

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


def test_a_mirrored_header_is_the_same_segmentation_and_csv_is_a_table(tmp_path) -> None:
    truth = labels(1)
    write(tmp_path / "truth" / "A.nii.gz", truth)
    flipped = AFFINE @ np.array([[-1, 0, 0, 7], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    write(tmp_path / "found" / "A.nii.gz", truth[::-1], affine=flipped)
    run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "t.csv")
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["complete_dice"].tolist() == [1.0] and table["complete_hd95"].tolist() == [0.0]


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
    pair(tmp_path, names=("A", "B", "C", "D", "E"))
    found = tmp_path / "found"
    write(found / "B_pred.nii", labels(9, shape=(8, 9, 6)))
    shifted = AFFINE.copy()
    shifted[0, 3] = 5
    write(found / "C_pred.nii", labels(9), affine=shifted)
    write(found / "D_pred.nii", labels(9, numbers=(0, 1, 2, 3)))
    (found / "E_pred.nii").rename(found / "F_pred.nii")
    text, failed = run(tmp_path / "truth", prediction=found, out=tmp_path / "t.json", scheme="merged")
    assert failed == 4  # B, C, D and F; E has just not been predicted
    lines = capsys.readouterr().err.splitlines()
    reasons = {line.removeprefix("not scored: ")[0]: line for line in lines if line.startswith("not scored")}
    assert "expected the truth's shape (7, 9, 8) (slices, rows, columns), received (6, 9, 8)" in reasons["B"]
    assert "received one 5 mm off" in reasons["C"]
    assert "expected labels [0, 1, 2, 4] (merged), received also [3]" in reasons["D"]
    assert "not predicted" in reasons["E"] and "no truth of this name" in reasons["F"]
    assert text.startswith("1 cases")


def test_wrong_voxel_sizes_are_refused(tmp_path, capsys) -> None:
    pair(tmp_path, names=("A",))
    write(tmp_path / "found" / "A_pred.nii", labels(9), affine=np.diag([-1.0, -1.0, 3.0, 1.0]))
    with pytest.raises(UserError, match="none of 1 predictions could be scored"):
        run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "t.json")
    assert "expected the truth's voxels of 2 x 1 x 1 mm, received 3 x 1 x 1" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out": "t.txt"}, r"expected a name ending in \.json or \.csv, received \.txt"),
        ({"truth": "nowhere"}, "nowhere: no such file or folder"),
        ({"prediction": "empty"}, "empty: no segmentation found"),
        ({"scheme": "six"}, "--scheme: expected auto or one of five, merged, merged-2023, decathlon, received 'six'"),
    ],
)
def test_wrong_arguments_are_one_line(change, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    pair(tmp_path)
    Path("empty").mkdir()
    given = {"truth": "truth", "prediction": "found", "out": "t.json", "scheme": "auto", **change}
    with pytest.raises(UserError, match=message):
        run(Path(given["truth"]), prediction=Path(given["prediction"]), out=Path(given["out"]), scheme=given["scheme"])


def test_two_files_of_one_case_are_refused(tmp_path) -> None:
    pair(tmp_path)
    write(tmp_path / "found" / "A_seg.nii.gz", labels(3))
    with pytest.raises(UserError, match=r"A: two files, .* keep one"):
        run(tmp_path / "truth", prediction=tmp_path / "found", out=tmp_path / "t.json")
