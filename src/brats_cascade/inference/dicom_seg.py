"""Writes a segmentation as DICOM-SEG (highdicom, extra `dicom`), on the T1c series of its case."""

import importlib.util
import json
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


def check_dicom(cases: Sequence[Case]) -> None:
    """Raises an error at the start if cases were not read from DICOM, or highdicom is missing."""
    if importlib.util.find_spec("highdicom") is None:
        raise UserError("--format dicom-seg: highdicom is not installed; run: pip install 'brats-cascade[dicom]'")
    others = [case.name for case in cases if not _source(case).is_file()]
    if others:
        raise UserError(
            f"--format dicom-seg: {others[0]} was not read from DICOM series; give folders of DICOM series, or leave it out"
        )


def write_dicom_seg(path: Path, *, segmentation: Path, case: Case) -> None:
    """Writes the case's segmentation, read from its NIfTI file, with a binary segment for every value of its label scheme."""
    import highdicom
    import nibabel
    import pydicom

    image: Any = nibabel.load(segmentation)
    told = labels_of_scheme(case.scheme)
    segments = {0: 0} | {label.number: place for place, label in enumerate(told, start=1)}
    # (slices, rows, columns) in the order of the series
    voxels = recode(np.asarray(image.dataobj), table=segments).transpose(2, 1, 0)
    written = highdicom.seg.Segmentation(
        source_images=[pydicom.dcmread(file) for file in json.loads(_source(case).read_text(encoding="utf-8"))],
        pixel_array=voxels,
        segmentation_type="BINARY",
        segment_descriptions=[_segment(label, number=segments[label.number]) for label in told],
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
    with written_whole(path) as draft:
        written.save_as(draft)


def _segment(label: Label, *, number: int) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    scheme, keyword = CODES[label.first]
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label.name,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=getattr(getattr(codes, scheme), keyword),
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=MAKER, version=__version__, family=codes.DCM.ArtificialIntelligence
        ),
        display_color=highdicom.color.CIELabColor.from_string(label.colour),
    )


def _source(case: Case) -> Path:
    return next(iter(case.images.values()), case.folder / SOURCE).with_name(SOURCE)
