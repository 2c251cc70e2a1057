"""predict from DICOM series to DICOM-SEG, and the files for ITK-SNAP, 3D Slicer and BIDS tools."""

import csv
import re
from pathlib import Path
from types import SimpleNamespace

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from dicom_study import write_study
from predicting import run

from brats_cascade.commands.options import PredictOptions
from brats_cascade.commands.predict import start_formats
from brats_cascade.data.dicom import modality_of, search_any
from brats_cascade.errors import UserError
from brats_cascade.inference.labelled import labels_of_scheme, start_bids, write_colours


@pytest.fixture(scope="module")
def segmented(tmp_path_factory, trained) -> tuple[Path, dict[str, np.ndarray]]:
    """A study that predict has segmented in all formats: the folder above in/ and out/, and the voxels."""
    place = tmp_path_factory.mktemp("dicom")
    voxels = write_study(place / "in" / "patient1" / "study")
    formats = {"form": "dicom-seg", "bids": place / "bids", "colours": True}
    assert run([place / "in"], models=[str(trained())], out=place / "out", **formats) == 0
    return place, voxels


@pytest.mark.slow
def test_the_segmentation_is_read_back_from_dicom_with_its_geometry_and_codes(segmented):
    place, _ = segmented
    nifti = nibabel.load(place / "out/patient1_study_seg.nii.gz")
    labels = np.asarray(nifti.dataobj)
    found = highdicom.seg.segread(place / "out/patient1_study_seg.dcm")
    assert labels.any() and set(np.unique(labels)) <= {0, 1, 2, 3}
    files = [pydicom.dcmread(path) for path in (place / "in/patient1/study/S2").iterdir()]  # T1c
    files.sort(key=lambda file: file.InstanceNumber)
    uids = [file.SOPInstanceUID for file in files]
    read = found.get_pixels_by_source_instance(uids, combine_segments=True, ignore_spatial_locations=True)
    np.testing.assert_array_equal(read, labels.transpose(2, 1, 0))
    volume = found.get_volume(
        combine_segments=True
    )  # geometry by DICOM's own tags, cropped to the frames that are there
    ras = np.diag([-1, -1, 1, 1]) @ volume.affine
    for index in np.argwhere(volume.array)[::25]:
        world = ras @ [*index, 1]
        assert volume.array[tuple(index)] == labels[tuple(np.rint(np.linalg.inv(nifti.affine) @ world)[:3].astype(int))]
    names = [segment.SegmentLabel for segment in found.SegmentSequence]
    assert names == ["necrosis and non-enhancing tumour", "edema", "enhancing tumour"]
    types = [segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning for segment in found.SegmentSequence]
    assert types == ["Necrosis", "Edema", "Enhancing Lesion"]
    assert (found.StudyInstanceUID, found.PatientID) == (files[0].StudyInstanceUID, "P")
    assert found.FrameOfReferenceUID == files[0].FrameOfReferenceUID


@pytest.mark.slow
def test_scans_come_in_with_their_own_voxels_and_a_second_run_only_adds_what_is_missing(segmented, trained, capsys):
    place, voxels = segmented
    [case] = search_any(place / "in", out=place / "out/.dicom").cases
    for modality, expected in voxels.items():
        image = nibabel.load(case.images[modality])
        np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), expected)
    np.testing.assert_allclose(
        image.affine, [[-1.25, 0, 0, 20], [0, -1.5, 0, 30], [0, 0, 2, 5], [0, 0, 0, 1]], atol=1e-5
    )
    seg = place / "out/patient1_study_seg.dcm"
    seg.unlink()
    before = (place / "out/patient1_study_seg.nii.gz").stat().st_mtime_ns
    assert run([place / "in"], models=[str(trained())], out=place / "out", form="dicom-seg") == 0
    assert "1 of 1 cases are finished in" in capsys.readouterr().err and seg.is_file()
    assert (place / "out/patient1_study_seg.nii.gz").stat().st_mtime_ns == before


@pytest.mark.slow
def test_bids_names_and_label_colours_lie_beside(segmented):
    place, _ = segmented
    files = sorted(
        path.relative_to(place / "bids").as_posix() for path in (place / "bids").rglob("*") if path.is_file()
    )
    stem = "sub-patient1study/anat/sub-patient1study_dseg"
    assert files == ["dataset_description.json", f"{stem}.nii.gz", f"{stem}.tsv"]
    assert (place / "bids" / f"{stem}.nii.gz").read_bytes() == (place / "out/patient1_study_seg.nii.gz").read_bytes()
    with (place / "bids" / f"{stem}.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["index"] for row in rows] == ["0", "1", "2", "3"] and rows[3]["abbreviation"] == "ET"
    assert all(re.fullmatch("#[0-9A-F]{6}", row["color"]) for row in rows)
    slicer = (place / "out/labels_merged-2023.ctbl").read_text().splitlines()
    assert slicer[-1] == "3 enhancing_tumour 220 38 127 255"
    snap = [line for line in (place / "out/labels_merged-2023.txt").read_text().splitlines() if line[0] != "#"]
    entry = re.compile(r'\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([01])\s+([01])\s+([01])\s+"(.+)"')  # ITK-SNAP's own form
    assert [entry.fullmatch(line).group(1, 8) for line in snap][2] == ("2", "edema")


def test_the_labels_of_every_scheme_carry_its_own_numbers(tmp_path):
    assert [label.number for label in labels_of_scheme("merged")] == [1, 2, 4]
    assert [label.abbreviation for label in labels_of_scheme("decathlon")] == ["ED", "NCR+NET", "ET"]
    write_colours(tmp_path, schemes=["five", "five", "merged"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("labels_five.ctbl", "labels_five.txt", "labels_merged.ctbl", "labels_merged.txt")
    ]


NAMED = {
    "flair": ["AX T2 FLAIR", "t2_tirm_tra_dark-fluid FLAIR", "3D FLAIR", "t2f", "FLAIR_reg_to_T1"],
    "t1c": [
        *("T1ce", "T1CE", "t1c", "T1-C", "T1 GD", "T1 +C", "T1 C+", "T1w +C", "AX T1 POST", "AX T1 POST CONTRAST"),
        *("T1 with contrast", "T1 W/ CONTRAST", "T1 MPRAGE GAD", "T1_MPRAGE_GD", "Gad T1 3D", "t1_mprage_km"),
        *("AX T1 FLAIR POST", "T1 FLAIR +C", "T1 POST W/O FS", "T1 POST NO FAT SAT", "T1 POST GAD PRE-OP"),
    ],
    "t1": [
        *("AX T1", "t1_mprage_sag", "T1 pre contrast", "AX T1 PRE", "T1-precontrast", "T1_PREGAD", "AX T1 NO CONTRAST"),
        *("SAG T1 W/O CONTRAST", "T1 W/O GAD", "T1w/o contrast", "T1_W_O_CONTRAST", "T1 WO CONTRAST", "T1 without GD"),
        *("NO CONTRAST T1", "T1 non-contrast", "T1 NONCONTRAST", "T1 before contrast", "T1 native (contrast study)"),
        *("T1 UNENHANCED CONTRAST SERIES", "t1_nonenhanced_contrast", "T1 ohne KM", "T1 C-", "t1_C-", "T1 -C"),
        *("AX T1 FLAIR", "T1 3D FLAIR", "SAG T1FLAIR", "T1 POST-OP", "T1 SAG POSTERIOR FOSSA"),
    ],
    "t2": ["T2w", "AX T2 TSE", "T2 post contrast"],
    "": ["DWI", "T1 localizer", "t1_loc", "patient1"],
}


@pytest.mark.parametrize(("text", "modality"), [(text, modality) for modality in NAMED for text in NAMED[modality]])
def test_a_series_is_known_by_its_name(text, modality):
    assert modality_of(text) == modality
    assert modality_of(text, agent=True) == ("t1c" if modality == "t1" else modality)


def test_what_is_missing_or_not_from_dicom_is_one_line(tmp_path, write_nifti_case, monkeypatch):
    write_study(tmp_path / "study", apart=False, omit="t2")
    with pytest.raises(UserError, match=r"study: expected one DICOM series of t2, found 0: study \(AX T"):
        search_any(tmp_path / "study", out=tmp_path / "out")
    write_study(tmp_path / "gap")
    next(path for path in (tmp_path / "gap/S1").iterdir() if pydicom.dcmread(path).InstanceNumber == 5).unlink()
    with pytest.raises(UserError, match=r"t1 in .*/S1: its 9 slices are not evenly spaced: expected 2 mm, found 4 mm"):
        search_any(tmp_path / "gap", out=tmp_path / "out")
    write_nifti_case(tmp_path / "cases", "Brats18_A_1")
    cases = search_any(tmp_path / "cases", out=tmp_path / "out").cases
    with pytest.raises(UserError, match="dicom-seg: Brats18_A_1 was not read from DICOM series"):
        start_formats(PredictOptions(out=tmp_path, form="dicom-seg"), cases=cases)
    with pytest.raises(UserError, match="--format: expected nifti or dicom-seg, got 'nrrd'"):
        start_formats(PredictOptions(out=tmp_path, form="nrrd"), cases=cases)
    with pytest.raises(UserError, match="--bids: Brats18_A_1 and Brats18A1 would both be sub-Brats18A1"):
        twin = type(cases[0])(**{**vars(cases[0]), "name": "Brats18A1"})
        start_bids(tmp_path / "bids", cases=[cases[0], twin])
    with pytest.raises(UserError, match="lies in --out, where its copies would be scored, too"):
        start_formats(PredictOptions(out=tmp_path / "out", bids=tmp_path / "out" / "bids"), cases=cases)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'brats-cascade\[dicom\]'"):
        start_formats(PredictOptions(out=tmp_path, form="dicom-seg"), cases=[])


def test_files_that_only_look_like_dicom_and_names_without_a_letter_for_bids_are_one_line(tmp_path):
    (tmp_path / "flair").mkdir()
    (tmp_path / "flair" / "a.dcm").write_bytes(bytes(128) + b"DICM" + b"garbage")
    with pytest.raises(UserError, match="/flair: its DICOM files hold no series that can be read"):
        search_any(tmp_path, out=tmp_path / "out")
    with pytest.raises(UserError, match=r"--bids: .* has no letter or digit that BIDS allows"):
        start_bids(tmp_path / "bids", cases=[SimpleNamespace(name="\u60a3\u8005")])
    assert not (tmp_path / "out").exists() and not (tmp_path / "bids").exists()
