"""brats-cascade fuse: STAPLE and majority of several segmentations, ties, numbers and grids."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from brats_cascade.commands.fuse import fuse_labels
from brats_cascade.commands.fuse import run as fuse
from brats_cascade.errors import UserError

AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])


def rater(*labels: int) -> np.ndarray:
    return np.array(labels, dtype=np.uint8).reshape(1, 1, -1)


def write(path: Path, labels: np.ndarray, *, affine: np.ndarray = AFFINE, scheme: str = "merged") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(labels.astype(np.uint8), affine)
    image.header.set_intent("label", name=scheme)
    image.to_filename(path)


def test_the_majority_wins_and_a_tie_goes_to_the_first_of_the_largest_groups():
    #               agreed  2 of 3  all differ
    three = [rater(4, 0, 1), rater(4, 2, 0), rater(4, 2, 2)]
    fused, undecided = fuse_labels(three, method="majority")
    assert fused.ravel().tolist() == [4, 2, 1] and undecided == 1
    # of five, two say 2 and two say 4: the first of these four raters says 2, though the very first says 1
    five = [rater(1), rater(2), rater(4), rater(4), rater(2)]
    assert fuse_labels(five, method="majority")[0].item() == 2
    fused, undecided = fuse_labels([rater(1, 0), rater(0, 4)], method="majority")  # of two every difference is a tie
    assert fused.ravel().tolist() == [1, 0] and undecided == 2


def test_staple_follows_the_raters_that_agree_where_a_vote_follows_the_many():
    rng = np.random.default_rng(3)
    truth = np.zeros((20, 20, 20), dtype=np.uint8)
    truth[5:15, 5:15, 5:15], truth[8:12, 8:12, 8:12] = 2, 4

    def wrong(share: float) -> np.ndarray:
        noise = rng.random(truth.shape) < share
        return np.where(noise, rng.choice([0, 2, 4], size=truth.shape), truth).astype(np.uint8)

    good, poor = [wrong(0.03) for _ in range(3)], [wrong(0.9) for _ in range(4)]
    staple, majority = (fuse_labels([*poor, *good], method=method)[0] for method in ("staple", "majority"))
    errors = [int((fused != truth).sum()) for fused in (staple, majority)]
    assert errors[0] < errors[1] / 3, errors  # four of seven raters are poor, which a vote does not know


def test_files_of_different_numbers_become_one_in_those_of_the_first(tmp_path, capsys):
    labels = np.zeros((4, 5, 6))
    labels[1:3, 1:3, 1:4] = 4
    labels[1, 1, 1] = 2
    flipped = AFFINE @ np.array([[-1, 0, 0, 3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    write(tmp_path / "a" / "X_seg.nii.gz", labels)
    write(
        tmp_path / "b" / "X.nii.gz",
        np.select([labels == 4, labels == 2], [3, 1])[::-1],
        affine=flipped,
        scheme="decathlon",
    )
    write(tmp_path / "c" / "sub" / "X_pred.nii", np.where(labels == 4, 3, labels), scheme="")
    write(tmp_path / "a" / "Y_seg.nii.gz", labels)
    folders = [tmp_path / name for name in "abc"]
    assert fuse(folders, out=tmp_path / "out", method="majority", scheme="merged-2023") == 1
    said = capsys.readouterr()
    assert "0 voxels undecided by majority, 12 labelled tumour by any of 3" in said.out
    assert said.err.startswith("not fused: Y: expected one file in each folder, found ")
    fused = nibabel.load(tmp_path / "out" / "X_seg.nii.gz")
    np.testing.assert_array_equal(np.asarray(fused.dataobj), labels)
    assert fused.header["intent_name"].item() == b"merged" and b"majority of 3" in fused.header["descrip"].item()


def test_what_cannot_be_fused_is_one_line(tmp_path, capsys):
    write(tmp_path / "a" / "X.nii.gz", np.zeros((4, 5, 6)))
    write(tmp_path / "b" / "X.nii.gz", np.zeros((4, 5, 7)))
    write(tmp_path / "c" / "X.nii.gz", np.zeros((4, 5, 6)), scheme="")
    a, b, c = (tmp_path / name for name in "abc")
    options = {"out": tmp_path / "out", "method": "staple", "scheme": ""}
    assert fuse([a, b], **options) == 1 and "shape" in capsys.readouterr().err
    assert fuse([a, c], **options) == 1
    assert "does not name its label scheme; give it with --scheme" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    for changed, message in (
        ({"method": "mean"}, "--method: expected one of staple, majority, got 'mean'"),
        ({"scheme": "six"}, "--scheme: expected one of five, edema-core, .*, got 'six'"),
        ({"out": a}, "fuse: expected two or more different folders, and another one for --out"),
    ):
        with pytest.raises(UserError, match=message):
            fuse([a, b], **{**options, **changed})
    with pytest.raises(UserError, match="/none: no folder of segmentations"):
        fuse([a, tmp_path / "none"], **options)


def test_a_case_without_a_usable_file_is_told(tmp_path, capsys):
    for name in "ab":
        write(tmp_path / name / "X.nii.gz", np.ones((4, 5, 6)))
        (tmp_path / name / "Y.nrrd").write_bytes(b"")
    options = {"out": tmp_path / "out", "method": "majority", "scheme": ""}
    assert fuse([tmp_path / "a", tmp_path / "b"], **options) == 1
    assert "Y.nrrd" in capsys.readouterr().err and (tmp_path / "out" / "X_seg.nii.gz").is_file()


def test_labels_that_are_one_in_the_first_files_scheme_agree(tmp_path):
    """Necrosis and non-enhancing tumour, against enhancing tumour in the first file."""
    for name, scheme, label in (("a", "merged", 4), ("b", "five", 3), ("c", "merged", 1)):
        write(tmp_path / name / "X.nii.gz", np.full((2, 2, 2), label), scheme=scheme)
    folders = [tmp_path / name for name in "abc"]
    assert fuse(folders, out=tmp_path / "out", method="majority", scheme="") == 0
    assert (np.asarray(nibabel.load(tmp_path / "out" / "X_seg.nii.gz").dataobj) == 1).all()


def test_a_file_of_somebody_elses_stays_and_one_of_fuse_is_written_again(tmp_path, capsys):
    for name in ("a", "b"):
        write(tmp_path / name / "X.nii.gz", np.ones((4, 5, 6)))
    out = tmp_path / "out"
    write(out / "X_seg.nii.gz", np.zeros((4, 5, 6)))
    drawn = (out / "X_seg.nii.gz").read_bytes()
    options = {"out": out, "method": "majority", "scheme": ""}
    assert fuse([tmp_path / "a", tmp_path / "b"], **options) == 1
    assert "X_seg.nii.gz: was not written by fuse, so it is not overwritten" in capsys.readouterr().err
    assert (out / "X_seg.nii.gz").read_bytes() == drawn
    (out / "X_seg.nii.gz").unlink()
    assert [fuse([tmp_path / "a", tmp_path / "b"], **options) for _ in range(2)] == [0, 0]
