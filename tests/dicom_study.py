"""Writes studies of synthetic DICOM series."""

from collections.abc import Sequence
from pathlib import Path

import highdicom
import numpy as np
import pydicom
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

SHAPE = (10, 14, 12)  # slices, rows, columns
SPACING, THICK, ORIGIN = (1.5, 1.25), 2.0, (-20.0, -30.0, 5.0)
AXIAL = np.eye(3)
DESCRIPTIONS = {"flair": "AX T2 FLAIR", "t1": "AX T1", "t1c": "AX T1 +C", "t2": "AX T2 TSE"}
T1C = "S2"  # folder of the T1c series


def write_series(
    folder: Path,
    *,
    voxels: np.ndarray,
    description: str,
    study: str,
    frame: str,
    seed: int,
    turn: np.ndarray,
) -> None:
    """Files in an order of names that is not that of the slices; `turn`: its columns are a row, a column and their normal."""
    folder.mkdir(parents=True, exist_ok=True)
    series = generate_uid()
    order = np.random.default_rng(seed).permutation(len(voxels))
    for name, place in enumerate(order):
        file = pydicom.Dataset()
        file.file_meta = pydicom.dataset.FileMetaDataset()
        file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = MRImageStorage
        file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        file.PatientID, file.PatientName, file.Modality, file.StudyID = "P", "Phantom^Synthetic", "MR", "1"
        file.PatientBirthDate = file.PatientSex = file.AccessionNumber = file.ReferringPhysicianName = ""
        file.StudyDate, file.StudyTime, file.SeriesNumber, file.InstanceNumber = "20200101", "120000", 1, int(place) + 1
        file.StudyInstanceUID, file.SeriesInstanceUID, file.FrameOfReferenceUID = study, series, frame
        file.SeriesDescription, file.PositionReferenceIndicator = description, ""
        file.ImagePositionPatient = [round(value, 9) for value in (ORIGIN + THICK * int(place) * turn[:, 2]).tolist()]
        file.ImageOrientationPatient = [round(value, 9) for value in turn[:, :2].T.ravel().tolist()]
        file.PixelSpacing, file.SliceThickness = list(SPACING), THICK
        file.Rows, file.Columns, file.SamplesPerPixel, file.PhotometricInterpretation = (
            *voxels.shape[1:],
            1,
            "MONOCHROME2",
        )
        file.BitsAllocated = file.BitsStored = 16
        file.HighBit, file.PixelRepresentation = 15, 0
        file.PixelData = voxels[place].astype("<u2").tobytes()
        file.save_as(folder / f"IM{seed}{name:03d}", enforce_file_format=True)


def write_study(folder: Path, *, apart: bool = True, omit: str = "", turn: np.ndarray = AXIAL) -> dict[str, np.ndarray]:
    """A study of four series, each in a folder of its own or all in one; gives their voxels (slices, rows, columns)."""
    rng = np.random.default_rng(0)
    grid = np.indices(SHAPE)
    centre = (np.array(SHAPE) - 1).reshape(3, 1, 1, 1) / 2
    brain = (((grid - centre) / (centre - 0.4)) ** 2).sum(axis=0) <= 1
    written = {}
    study, frame = generate_uid(), generate_uid()
    for seed, (modality, description) in enumerate(DESCRIPTIONS.items()):
        written[modality] = np.where(brain, rng.integers(50, 900, size=SHAPE), 0)
        if modality != omit:
            place = folder / f"S{seed}" if apart else folder
            write_series(
                place, voxels=written[modality], description=description, study=study, frame=frame, seed=seed, turn=turn
            )
    return written


def files(study: Path) -> list[pydicom.Dataset]:
    """The T1c series, in the order of its slices."""
    return sorted(map(pydicom.dcmread, (study / T1C).iterdir()), key=lambda file: file.InstanceNumber)


def multi_frame(study: Path, *, order: Sequence[int]) -> pydicom.Dataset:
    """Replaces the T1c series by one file, converted by highdicom; its frames are those of the slices in `order`."""
    series = files(study)
    whole = highdicom.legacy.LegacyConvertedEnhancedMRImage(
        series, series_instance_uid=series[0].SeriesInstanceUID, series_number=1, sop_instance_uid=generate_uid(),
        instance_number=1,
    )  # fmt: skip
    frames = sorted(
        zip(whole.PerFrameFunctionalGroupsSequence, whole.pixel_array, strict=True),
        key=lambda frame: frame[0].PlanePositionSequence[0].ImagePositionPatient[2],
    )
    whole.PerFrameFunctionalGroupsSequence = [frames[place][0] for place in order]
    whole.PixelData = np.stack([frames[place][1] for place in order]).tobytes()
    whole.NumberOfFrames, whole.SeriesDescription = len(order), series[0].SeriesDescription
    for file in series:
        Path(file.filename).unlink()
    whole.save_as(study / T1C / "whole")
    return whole
