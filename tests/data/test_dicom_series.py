"""DICOM series of every kind: read with the voxels and places that they were written with, or refused on one line."""

from collections.abc import Callable, Iterable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_study import ORIGIN, SPACING, T1C, THICK, files, multi_frame, write_study
from pydicom.uid import JPEGLSLossless, RLELossless, generate_uid

from brats_cascade.data.dicom import search_any
from brats_cascade.errors import UserError

ANGLE = np.deg2rad([20, -11])
COS, SIN = np.cos(ANGLE), np.sin(ANGLE)
OBLIQUE = np.array([[1, 0, 0], [0, COS[0], -SIN[0]], [0, SIN[0], COS[0]]]) @ np.array(
    [[COS[1], 0, SIN[1]], [0, 1, 0], [-SIN[1], 0, COS[1]]]
)

Change = Callable[[pydicom.Dataset], None]


def change(study: Path, *, how: Change, instances: Iterable[int] = range(1, 11), copy: bool = False) -> None:
    """Changes slices of the T1c series, or adds changed copies of them."""
    for file in files(study):
        if file.InstanceNumber in instances:
            path = Path(file.filename)
            if copy:
                file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = generate_uid()
                path = path.with_name(f"extra{file.InstanceNumber}")
            how(file)
            file.save_as(path)


def assign(**values) -> Change:
    return lambda file: [setattr(file, key, value) for key, value in values.items()] and None


def assert_read(study: Path, *, voxels: np.ndarray, backwards: bool = False) -> None:
    """The T1c volume has the voxels, at the places that DICOM's equation of the image plane gives them."""
    [case] = search_any(study, out=study.parent / "out").cases
    image = nibabel.load(case.images["t1c"])
    read = np.asarray(image.dataobj).transpose(2, 1, 0)
    np.testing.assert_array_equal(read[::-1] if backwards else read, voxels)
    origin = ORIGIN + backwards * (len(voxels) - 1) * THICK * OBLIQUE[:, 2]
    axes = OBLIQUE * [
        SPACING[1],
        SPACING[0],
        -THICK if backwards else THICK,
    ]  # patient coordinates, x and y to the left
    np.testing.assert_allclose(image.affine[:3], np.diag([-1, -1, 1]) @ np.column_stack([axes, origin]), atol=1e-5)


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless])
def test_an_oblique_series_is_read_in_place_also_when_compressed(syntax, tmp_path):
    voxels = write_study(tmp_path / "study", turn=OBLIQUE)["t1c"]
    if syntax:
        change(tmp_path / "study", how=lambda file: file.compress(syntax))
    assert_read(tmp_path / "study", voxels=voxels)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_multi_frame_file_is_read_like_its_slices(backwards, tmp_path):
    voxels = write_study(tmp_path / "study", turn=OBLIQUE)["t1c"]
    multi_frame(tmp_path / "study", order=list(range(10))[:: -1 if backwards else 1])
    assert_read(tmp_path / "study", voxels=voxels, backwards=backwards)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ([1, 0, *range(2, 10)], "its frames are not in the order of their positions"),
        ([*range(10)] * 2, "expected one slice per position, found frame 1 of whole and frame 11 of whole at the same"),
        ([0, 1, 2, *range(4, 10)], "its 9 slices .* expected 2 mm, found 4 mm between frame 3 of whole and frame 4"),
    ],
)  # fmt: skip
def test_frames_that_are_not_one_volume_are_refused(order, reason, tmp_path):
    write_study(tmp_path / "study", turn=OBLIQUE)
    multi_frame(tmp_path / "study", order=list(order))
    with pytest.raises(UserError, match=f"^study: the series of t1c in .*/S2: {reason}"):
        search_any(tmp_path / "study", out=tmp_path / "out")


def test_frames_with_different_rescaling_or_no_pydicom_are_refused(tmp_path, monkeypatch):
    write_study(tmp_path / "study", turn=OBLIQUE)
    whole = multi_frame(tmp_path / "study", order=list(range(10)))
    for number, frame in enumerate(whole.PerFrameFunctionalGroupsSequence):
        frame.PixelValueTransformationSequence = [pydicom.Dataset()]
        assign(RescaleSlope=2 if number == 6 else 1, RescaleIntercept=0)(frame.PixelValueTransformationSequence[0])
    whole.save_as(tmp_path / "study" / T1C / "whole")
    with pytest.raises(
        UserError, match=r"expected rescale slope: 1.0, as in most .* found 2.0 in frame 7 of whole; export it as"
    ):
        search_any(tmp_path / "study", out=tmp_path / "out")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"whole: a file with several frames needs pydicom.*brats-cascade\[dicom\]"):
        search_any(tmp_path / "study", out=tmp_path / "out")


def move(file: pydicom.Dataset, *, by: np.ndarray) -> None:
    file.ImagePositionPatient = [
        round(value, 9) for value in (np.array(file.ImagePositionPatient, float) + by).tolist()
    ]


SAME = "expected one slice per position, found .* and .* at the same one"
FAULTS = {
    "copy of a slice": ({"how": assign(), "instances": [5], "copy": True}, SAME),
    "several time points": ({"how": assign(TemporalPositionIdentifier=2), "copy": True}, SAME),
    "unequal gaps": (
        {"how": lambda file: move(file, by=0.3 * OBLIQUE[:, 2]), "instances": [6]},
        r"its 10 slices are not evenly spaced: expected 2 mm, found (2\.3|1\.7) mm between IM2\d* and IM2",
    ),
    "tilted gantry": (
        {"how": lambda file: move(file, by=0.4 * file.InstanceNumber * OBLIQUE[:, 1])},
        "its slices are shifted sideways against each other",
    ),
    "localizer in the series": (
        {"how": assign(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "instances": [3, 7], "copy": True},
        r"expected one orientation, found 2 slices with another one \(a localizer\?\): extra\d, extra\d; remove them",
    ),
    "other size": (
        {"how": assign(Rows=12, Columns=14), "instances": [3]},
        r"expected rows: 14, as in most of its slices, found 12 in IM2\d*; remove it",
    ),
    "colour": (
        {
            "how": lambda file: assign(
                SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, PixelData=file.PixelData * 3
            )(file)
        },
        "expected samples per pixel: 1, found 3",
    ),
    "no position": ({"how": lambda file: file.pop("ImagePositionPatient")}, "does not state its position"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_series_that_is_not_one_volume_is_refused(name, tmp_path):
    write_study(tmp_path / "study", turn=OBLIQUE)
    how, reason = FAULTS[name]
    change(tmp_path / "study", **how)
    with pytest.raises(UserError, match=f"^study: the series of t1c in .*/S2: .*{reason}"):
        search_any(tmp_path / "study", out=tmp_path / "out")


def test_segmentations_and_damaged_files_are_no_scans(tmp_path):
    voxels = write_study(tmp_path / "study", turn=OBLIQUE)["t1c"]
    [first, *_] = files(tmp_path / "study")
    first.Modality, first.SeriesInstanceUID, first.SeriesDescription = "SEG", generate_uid(), "T1 segmented"
    first.save_as(tmp_path / "study" / T1C / "segmentation")
    assert_read(tmp_path / "study", voxels=voxels)
    damaged = Path(files(tmp_path / "study")[4].filename)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(
        UserError, match=r"its 9 slices .* DICOM files that are no readable scan: .* and 1 more$"
    ) as caught:
        search_any(tmp_path / "study", out=tmp_path / "out")
    assert str(damaged) in str(caught.value) or str(damaged.with_name("segmentation")) in str(caught.value)


def test_a_damaged_last_slice_is_missed(tmp_path):
    write_study(tmp_path / "study", turn=OBLIQUE)
    damaged = Path(files(tmp_path / "study")[9].filename)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(
        UserError, match=rf"found flair 10, t1 10, t1c 9, t2 10; .* that are no readable scan: {damaged}$"
    ):
        search_any(tmp_path / "study", out=tmp_path / "out")


def test_one_file_for_half_of_a_volume_is_refused(tmp_path):
    write_study(tmp_path / "study", turn=OBLIQUE)
    whole = multi_frame(tmp_path / "study", order=list(range(5)))
    whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    whole.save_as(tmp_path / "study" / T1C / "second")
    with pytest.raises(UserError, match="expected frames per file: 1, found 5; export it again with one grey value"):
        search_any(tmp_path / "study", out=tmp_path / "out")
