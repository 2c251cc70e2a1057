"""The evaluate stage's files: the same labels on the same grid as predict writes, the same bytes every time."""

import nibabel
import numpy as np
import pytest

from brats_cascade.data.cases import find_cases
from brats_cascade.data.prepare import prepare_case
from brats_cascade.data.writeback import read_misfits, read_scheme, write_segmentation
from brats_cascade.evaluation.unseen import keep_segmentation
from brats_cascade.params import Recipe


@pytest.mark.parametrize("axis", ["axial", "coronal"])
def test_it_is_what_predict_writes(axis, tmp_path, write_nifti_case) -> None:
    [case] = find_cases(write_nifti_case(tmp_path / "in", "Brats18_A_1"))
    prepared = prepare_case(case, recipe=Recipe(clip=0.01, axis=axis))
    path = keep_segmentation(tmp_path / "out", labels=prepared.labels, meta=prepared.meta)
    write_segmentation(tmp_path / "ours.nii.gz", prepared.labels, case=case, meta=prepared.meta)
    found, ours, truth = (nibabel.load(file) for file in (path, tmp_path / "ours.nii.gz", case.truth))
    np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(truth.dataobj))
    np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(ours.dataobj))
    np.testing.assert_array_equal(found.affine, truth.affine)
    assert path.name == "Brats18_A_1_seg.nii.gz" and found.get_data_dtype() == np.uint8
    assert found.header.get_intent() == ours.header.get_intent() == ("label", (), "merged")
    first = path.read_bytes(), (tmp_path / "out" / "volumes.csv").read_bytes()
    keep_segmentation(tmp_path / "out", labels=prepared.labels, meta=prepared.meta)
    assert first == (path.read_bytes(), (tmp_path / "out" / "volumes.csv").read_bytes())
    mm3 = int((np.asarray(truth.dataobj) > 0).sum())
    assert first[1].decode().splitlines()[1].split(",")[:2] == ["Brats18_A_1", f"{mm3 / 1000:.3f}"]


def test_a_name_that_is_wrong_about_compression_loses_no_note(tmp_path, write_nifti_case) -> None:
    [case] = find_cases(write_nifti_case(tmp_path / "in", "Brats18_A_1"))
    prepared = prepare_case(case, recipe=Recipe(clip=0.01))
    path = tmp_path / "a_seg.nii.gz"
    write_segmentation(path, prepared.labels, case=case, meta=prepared.meta, options="0123", misfits=["spacing"])
    assert (read_scheme(path), read_misfits(path)) == (case.scheme, ["spacing"])
    path = path.rename(tmp_path / "a_seg.nii")
    assert (read_scheme(path), read_misfits(path)) == (case.scheme, ["spacing"])
