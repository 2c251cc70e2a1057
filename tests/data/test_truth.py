"""Reading a truth's numbers: rounding, refusal."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from brats_cascade.data.cases import find_cases
from brats_cascade.data.prepare import prepare_case
from brats_cascade.data.truth import whole_labels
from brats_cascade.errors import UserError
from brats_cascade.params import Recipe


def test_labels_saved_through_a_scale_factor_are_what_they_were(tmp_path, write_nifti_case):
    """A truth loaded with get_fdata() and saved under its int16 header: 0.99996, 1.99998, ..."""
    folder = write_nifti_case(tmp_path, "A")
    (case,) = find_cases(tmp_path)
    before = prepare_case(case, recipe=Recipe(clip=0.01))
    truth = nibabel.load(folder / "A_seg.nii.gz")
    nibabel.Nifti1Image(truth.get_fdata(), truth.affine, truth.header).to_filename(folder / "A_seg.nii.gz")
    stored = nibabel.load(folder / "A_seg.nii.gz")
    assert (stored.get_fdata() != np.rint(stored.get_fdata())).any()  # else this test would show nothing
    after = prepare_case(case, recipe=Recipe(clip=0.01))
    np.testing.assert_array_equal(after.labels, before.labels)
    assert after.meta["facts"]["labels"] == "0,1,2,4"


def test_within_a_thousandth_labels_are_rounded():
    numbers = np.array([0.9991, 4.0009, -0.0009, 2.0], dtype="float32")
    np.testing.assert_array_equal(whole_labels(numbers, path=Path("seg")), [1, 4, 0, 2])
    assert whole_labels(numbers, path=Path("seg")).dtype.kind == "i"
    integers = np.array([0, 257], dtype="int16")
    assert whole_labels(integers, path=Path("seg")) is integers


@pytest.mark.parametrize("wrong", [0.998, 1.5, 1e20])
def test_other_numbers_are_refused_with_the_file(wrong):
    with pytest.raises(UserError, match=r"^x/seg\.nii: expected whole labels, 1 of 3 voxels"):
        whole_labels(np.array([0, wrong, 1], dtype="float32"), path=Path("x/seg.nii"))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_labels_that_are_no_numbers_are_refused_with_the_file(wrong):
    with pytest.raises(UserError, match=r"^x/seg\.nii: 1 of 3 labels are NaN or infinite"):
        whole_labels(np.array([0, wrong, 1], dtype="float32"), path=Path("x/seg.nii"))
