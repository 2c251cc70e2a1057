"""What looks like a person's name or a date in headers and names is told, and nothing that only resembles one."""

import nibabel
import numpy as np
import pytest
from layouts import LAYOUTS, paths

from brats_cascade.commands.check import run
from brats_cascade.data.cases import find_cases
from brats_cascade.data.traces import discreet, find_traces, traces_of

IN_PATHS = {
    "Smith_John": "name", "john-smith_t1.nii.gz": "name", "Kowalczyk_Zbigniew": "name", "MUELLER, HANS": "name",
    "19850412": "date", "TCGA-CS-4941_19960909": "date", "W39_1998.09.19_Segm.nii": "date", "born 4 Mar 1961": "date",
    "12-31-1999": "date",
}  # fmt: skip
IN_HEADERS = {
    "Doe^Jane": "name", "PatientName = Kim": "name", "Patient ID: 4711": "name", "read by Dr. Keller": "name",
    "AcquisitionDate = 20120301": "date", "1985-04-12T10:00:00": "date", "12.03.1974": "date", "Mar 12, 1974": "date",
    "T2 of Thomas Meyer": "name",
}  # fmt: skip
NEAR_MISSES = (
    "FSL5.0", "SPM12: realigned", "6.0.4:ddd0a010", "TE=2.9;Time=143022.120;phase=1", "FreeSurfer May 13 2013",
    "dcm2niix v1.0.20190902", "[brats@crete: Wed May  3 10:38:52 2017] 3dcalc -a x", "PatientName = anonymous", "20131399",
    "sform_code_name = NIFTI_XFORM_SCANNER_ANAT", "brats-cascade predict 0123456789abcdef 19850412", "Philips Healthcare",
    "registered to the mean of john and mary", "PatientID = 000", "srow_x = -1 0 0 -0", "1.2.840.113619.2.5",
)  # fmt: skip
IDS = (
    "Brats18_2013_10_1", "Brats17_CBICA_ANA_1", "Brats18_TCIA01_425_1", "BraTS20_Training_355", "BraTS2021_00000",
    "UCSF-PDGM-0004", "BraTS-GLI-00001-000", "UPENN-GBM-00001_11", "MICCAI_BraTS_2018_Data_Training", "Task01_BrainTumour",
    "Site_Berlin", "Smith-1", "VSD.Phantom.XX.O.MR_Flair.12.mha", "VSD.Phantom_3more.XX.XX.OT.6560.mha", "sub-01", "HG_0001",
    "Patient12", "50-28fdae8deae3",
)  # fmt: skip


@pytest.mark.parametrize("text", IN_PATHS)
def test_names_of_files_and_folders_with_a_person_or_a_date_are_found(text) -> None:
    assert {kind.split(" or ")[0].split()[-1] for kind, _ in find_traces(text, of_path=True)} == {IN_PATHS[text]}
    assert discreet(text) == f"{text[0]}..., {len(text)} characters"


@pytest.mark.parametrize("text", IN_HEADERS)
def test_headers_with_a_person_or_a_date_are_found(text) -> None:
    assert {kind.split(" or ")[0].split()[-1] for kind, _ in find_traces(text)} == {IN_HEADERS[text]}


def test_what_only_resembles_a_name_or_a_date_is_not_reported() -> None:
    assert {text: found for text in NEAR_MISSES if (found := find_traces(text))} == {}
    parts = {part for layout in LAYOUTS for path in paths(layout).values() for part in path.split("/")}
    assert {text: found for text in (*IDS, *parts) if (found := find_traces(text, of_path=True))} == {}


def _rewrite(path, **fields: bytes) -> None:
    """Gives a NIfTI file's header other texts, and those of `extensions` as extensions by their codes."""
    image = nibabel.load(path)
    image = nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
    for code, content in fields.pop("extensions", {}).items():
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(code, content))
    for name, text in fields.items():
        image.header[name] = text
    image.to_filename(path)


@pytest.mark.slow
def test_every_text_of_a_header_is_looked_at_and_one_line_per_case_shows_no_value(
    tmp_path, write_nifti_case, write_mha_case, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    texts = {
        "db_name": b"Doe^Jane",
        "descrip": b"scan of 1985-04-12",
        "aux_file": b"Meyer, Thomas",
        "intent_name": b"19991231",
    }
    for seed, (field, text) in enumerate(texts.items()):
        folder = write_nifti_case(tmp_path / "HGG", f"C{seed}", seed=seed)
        _rewrite(folder / f"C{seed}_t1.nii.gz", **{field: text})
    folder = write_nifti_case(tmp_path / "HGG", "C4", seed=4, suffix=".nii")
    _rewrite(
        folder / "C4_seg.nii",
        extensions={"comment": b"plain", "dicom": b"\x10\0PN\nKeller^Anna", "afni": b"of 12.03.1974"},
    )
    write_nifti_case(tmp_path / "Smith_John", "C5", seed=5)
    write_nifti_case(tmp_path, "quiet", seed=6)
    (mha,) = (write_mha_case(tmp_path / "Image_Data" / "HG", "0001") / "VSD.Brain.XX.O.MR_T1").iterdir()
    mha.write_bytes(mha.read_bytes().replace(b"DimSize", b"AcquisitionDate = 20120301\nComment = good\nDimSize", 1))
    (bad,) = (tmp_path / "HGG" / "C0").glob("*_t2.nii.gz")
    bad.write_bytes(b"")  # what cannot be read hides nothing of the other files
    text, _ = run(tmp_path)
    notes = dict(line.removeprefix("note: ").split(": ", 1) for line in text.splitlines() if line.startswith("note: "))
    assert notes == {
        "C0": "db_name of t1 looks like a person's name or id (D..., 8 characters)",
        "C1": "descrip of t1 looks like a date (1..., 10 characters)",
        "C2": "aux_file of t1 looks like a person's name (M..., 12 characters)",
        "C3": "intent_name of t1 looks like a date (1..., 8 characters)",
        "C4": "an extension of truth looks like a person's name or id (K..., 11 characters)",
        "C5": "the name of a folder looks like a person's name (S..., 10 characters)",
        "HG_0001": "AcquisitionDate of t1 looks like a date (2..., 8 characters)",
    }


@pytest.mark.real
def test_the_real_scans_raise_no_alarm(real_data) -> None:
    cases = find_cases(real_data)
    assert len(cases) == 25
    assert [traces for case in cases if (traces := traces_of(case))] == []
