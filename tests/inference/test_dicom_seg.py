"""DICOM-SEG from series with unusual headers, and its check by an external validator."""

import shutil
import subprocess
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from dicom_study import SHAPE, T1C, files, multi_frame, write_study
from predicting import run

from brats_cascade.data.dicom import search_any
from brats_cascade.errors import UserError
from brats_cascade.inference.dicom_seg import STATED, write_dicom_seg

LABELS = np.zeros(SHAPE, np.uint8)
LABELS[2:8, 3:11, 2:10], LABELS[3:6, 5:9, 4:8], LABELS[4, 6, 5:7] = 2, 1, 3


def change(study: Path, **values) -> None:
    """Sets elements of the T1c series; None removes one."""
    for path in (study / T1C).iterdir():
        file = pydicom.dcmread(path)
        for key, value in values.items():
            if value is None:
                del file[key]
            else:
                setattr(file, key, value)
        file.save_as(path)


def written(study: Path) -> highdicom.seg.Segmentation:
    """LABELS as the DICOM-SEG of a study."""
    [case] = search_any(study, out=study.parent / "out").cases
    affine = nibabel.load(case.images["t1c"]).affine
    nibabel.save(nibabel.Nifti1Image(LABELS.transpose(2, 1, 0), affine), study.parent / "seg.nii.gz")
    write_dicom_seg(study.parent / "seg.dcm", segmentation=study.parent / "seg.nii.gz", case=case)
    return highdicom.seg.segread(study.parent / "seg.dcm")


def test_headers_that_were_removed_for_privacy_are_empty_and_names_keep_their_letters(tmp_path):
    write_study(tmp_path / "study")
    change(tmp_path / "study", SliceThickness=None, **dict.fromkeys(STATED))
    found = written(tmp_path / "study")
    assert all(key in found and not found[key].value for key in STATED)
    uids = [file.SOPInstanceUID for file in files(tmp_path / "study")]
    read = found.get_pixels_by_source_instance(uids, combine_segments=True, ignore_spatial_locations=True)
    np.testing.assert_array_equal(read, LABELS)
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    change(tmp_path / "study", SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name)
    assert str(written(tmp_path / "study").PatientName) == name


@pytest.mark.parametrize("order", [range(10), range(9, -1, -1)])
def test_a_segmentation_refers_to_the_frames_of_a_multi_frame_file(order, tmp_path):
    write_study(tmp_path / "study")
    source = multi_frame(tmp_path / "study", order=order)
    found = written(tmp_path / "study")
    read = found.get_pixels_by_source_frame(
        source.SOPInstanceUID, range(1, 11), combine_segments=True, ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )  # fmt: skip
    np.testing.assert_array_equal(read, LABELS)  # frame by frame of the file
    places = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in source.PerFrameFunctionalGroupsSequence]
    for frame in found.PerFrameFunctionalGroupsSequence:
        [of] = frame.DerivationImageSequence[0].SourceImageSequence
        assert frame.PlanePositionSequence[0].ImagePositionPatient == places[of.ReferencedFrameNumber - 1]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_an_external_validator_has_no_complaint(tmp_path):
    write_study(tmp_path / "study")
    written(tmp_path / "study")
    checked = subprocess.run(
        ["dciodvfy", "-new", str(tmp_path / "seg.dcm")], check=True, capture_output=True, text=True
    )
    assert (checked.stdout + checked.stderr).split() == ["Segmentation"]


def test_a_series_that_cannot_carry_a_segmentation_is_one_line(tmp_path):
    write_study(tmp_path / "study")
    change(tmp_path / "study", FrameOfReferenceUID=None)
    with pytest.raises(
        UserError, match=r"^study: its segmentation is in .*seg.nii.gz, .* t1c series .*Frame Of Reference"
    ):
        written(tmp_path / "study")
    assert not (tmp_path / "seg.dcm").exists()


@pytest.mark.slow
def test_a_series_that_cannot_carry_a_segmentation_does_not_keep_others_from_theirs(tmp_path, trained, capsys):
    for name in ("a", "b"):
        write_study(tmp_path / "in" / name)
    change(tmp_path / "in" / "a", FrameOfReferenceUID=None)
    for _ in range(2):
        assert run([tmp_path / "in"], models=[str(trained())], out=tmp_path / "out", form="dicom-seg") == 1
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and errors[0].startswith("error: a: its segmentation is in ")
        assert sorted(path.name for path in (tmp_path / "out").glob("*_seg.*")) == [
            *("a_seg.nii.gz", "b_seg.dcm", "b_seg.nii.gz")
        ]
        (tmp_path / "out/b_seg.dcm").unlink()
    for path in (tmp_path / "in/a" / T1C).glob("*5"):
        path.unlink()
    assert run([tmp_path / "in"], models=[str(trained())], out=tmp_path / "out", form="dicom-seg") == 1
    [error] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert error.startswith("error: a: the series of t1c in ") and "slices are not evenly spaced" in error
    assert (tmp_path / "out/b_seg.dcm").is_file()
