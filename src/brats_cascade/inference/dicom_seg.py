"""Writes a segmentation as DICOM-SEG (highdicom, extra `dicom`), on the T1c series of its case."""

import importlib.util
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade import __version__
from brats_cascade.data.case import Case
from brats_cascade.data.dicom import REFERENCE, SOURCE
from brats_cascade.errors import UserError
from brats_cascade.inference.labelled import Label, labels_of_scheme
from brats_cascade.labels import EDEMA, ENHANCING, NECROSIS, NON_ENHANCING, recode
from brats_cascade.shared import written_whole

MAKER = "brats-cascade"
SERIES_NUMBER = 9001
# Label -> coding scheme and pydicom's keyword of its code in CID 7151 of the DICOM standard.
CODES: Mapping[int, tuple[str, str]] = {
    NECROSIS: ("SCT", "Necrosis"),
    EDEMA: ("SCT", "Edema"),
    NON_ENHANCING: ("NCIt", "NonEnhancingLesion"),
    ENHANCING: ("NCIt", "EnhancingLesion"),
}

# What every DICOM file of a patient states, though it may be empty; de-identified ones often lack it.
STATED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)


def check_dicom(cases: Sequence[Case]) -> None:
    """Raises an error at the start if cases were not read from DICOM, or highdicom is missing."""
    if importlib.util.find_spec("highdicom") is None:
        raise UserError("--format dicom-seg: highdicom is not installed; run: pip install 'brats-cascade[dicom]'")
    others = [case.name for case in cases if not case.problems and not _source(case).is_file()]
    if others:
        raise UserError(
            f"--format dicom-seg: {others[0]} was not read from DICOM series; give folders of DICOM series, or leave it out"
        )


def write_dicom_seg(path: Path, *, segmentation: Path, case: Case) -> None:
    """Writes the case's segmentation, read from its NIfTI file, with a binary segment for every value of its label scheme.

    Raises:
        UserError: The case cannot be read, or the headers of its T1c series do not suffice, or contradict the DICOM standard.
    """
    import nibabel

    if case.problems:
        raise UserError("; ".join(case.problems))
    image: Any = nibabel.load(segmentation)
    told = labels_of_scheme(case.scheme)
    segments = {0: 0} | {label.number: place for place, label in enumerate(told, start=1)}
    # (slices, rows, columns) in the order of the series
    voxels = recode(np.asarray(image.dataobj), table=segments).transpose(2, 1, 0)
    files = json.loads(_source(case).read_text(encoding="utf-8"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about legal but unusual values in the headers
            descriptions = [_segment(label, number=segments[label.number]) for label in told]
            written = _build(
                _read(files, thickness=float(image.header.get_zooms()[2])), voxels=voxels, segments=descriptions
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # highdicom raises any of these
        raise UserError(
            f"{case.name}: its segmentation is in {segmentation}, but cannot be written as DICOM-SEG, since the headers of its "
            f"{REFERENCE} series ({files[0]} ...) are not as DICOM requires ({error}); correct them, or leave out --format"
        ) from None
    with written_whole(path) as draft:
        written.save_as(draft)


def _read(files: Sequence[str], *, thickness: float) -> list[Any]:
    """The files without their pixels; what they should state but do not is empty, the thickness of slices their distance."""
    import pydicom

    sources = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    for source in sources:
        for keyword in STATED:
            source.setdefault(keyword, "")
        source.decode()
        source.SpecificCharacterSet = "ISO_IR 192"  # UTF-8 holds all names; highdicom refuses some other legal values
        if "PerFrameFunctionalGroupsSequence" not in source and not source.get("SliceThickness"):
            source.SliceThickness = thickness
    return sources


def _build(sources: list[Any], *, voxels: np.ndarray, segments: list[Any]) -> Any:
    import highdicom

    return highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=voxels,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=highdicom.UID(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        device_serial_number="0",
        content_description=f"Automatic segmentation, drawn on {REFERENCE}",
        series_description="Tumour segmentation, not for clinical use",
        omit_empty_frames=bool(voxels.any()),
    )


def _segment(label: Label, *, number: int) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    scheme, keyword = CODES[label.first]
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label.name,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=getattr(getattr(codes, scheme), keyword),
        anatomic_regions=[codes.SCT.Brain],
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=MAKER, version=__version__, family=codes.DCM.ArtificialIntelligence
        ),
        display_color=highdicom.color.CIELabColor.from_string(label.colour),
    )


def _source(case: Case) -> Path:
    return next(iter(case.images.values()), case.folder / SOURCE).with_name(SOURCE)
