"""Reads where the slices of a DICOM series lie, and finds what keeps them from being one evenly spaced volume."""

import importlib.util
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from brats_cascade.errors import UserError

TAGS = {
    "study": "0020|000d", "modality": "0008|0060", "description": "0008|103e", "agent": "0018|0010", "position": "0020|0032",
    "orientation": "0020|0037", "spacing": "0028|0030", "rows": "0028|0010", "columns": "0028|0011",
    "samples": "0028|0002", "frames": "0028|0008",
}  # fmt: skip
LARGEST_ERROR = 0.1  # mm, of a slice's position
LARGEST_TURN = 1e-3  # of a direction cosine
KIND = ("rows", "columns", "samples per pixel", "frames per file", "rescale slope", "rescale intercept")

SINGLE = "export it as single-frame DICOM, or as NIfTI"


class Slice(NamedTuple):
    """One slice: the name of its file (and frame), its position and pixel spacing, mm, its direction cosines and its kind."""

    name: str
    position: tuple[float, ...]
    orientation: tuple[float, ...]  # of a row, then of a column
    spacing: tuple[float, ...]  # between rows, between columns
    kind: tuple[str, ...]  # a value for each of KIND


def header(path: str) -> dict[str, str]:
    """The elements TAGS of a file, "" for those that it lacks."""
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise UserError(f"{path}: a DICOM file that cannot be read; copy or export its series again") from None
    return {name: reader.GetMetaData(tag).strip() if reader.HasMetaDataKey(tag) else "" for name, tag in TAGS.items()}


def slices_of(files: Sequence[str]) -> list[Slice]:
    """The slices of a series, in the order of its files; of a single file with several frames, its frames in their order."""
    heads = [header(file) for file in files]
    if len(files) == 1 and heads[0]["frames"] not in ("", "1"):
        return _frames(files[0])
    return [
        Slice(
            Path(file).name,
            _numbers(head["position"].split("\\")),
            _numbers(head["orientation"].split("\\")),
            _numbers(head["spacing"].split("\\")),
            # SimpleITK applies every file's own rescaling.
            kind=(head["rows"], head["columns"], head["samples"], head["frames"] or "1", "", ""),
        )
        for file, head in zip(files, heads, strict=True)
    ]


def fault(slices: Sequence[Slice]) -> str:
    """What keeps slices from being one evenly spaced volume, and what to do; "" if nothing does."""
    usual = Counter(one.kind for one in slices).most_common(1)[0][0]
    for one in slices:
        for what, expected, found in zip(KIND, usual, one.kind, strict=True):
            if expected != found:
                cure = SINGLE if what.startswith("rescale") else "remove it"
                return f"expected {what}: {expected}, as in most of its slices, found {found} in {one.name}; {cure}"
    for what, found in zip(KIND[2:4], usual[2:4], strict=True):
        if found != "1":
            return f"expected {what}: 1, found {found}; export it again with one grey value per pixel and one slice per file"
    for one in slices:
        if (len(one.position), len(one.orientation), len(one.spacing)) != (3, 6, 2):
            return f"{one.name} does not state its position, orientation or pixel spacing; export it again as MR images"
    turns = np.array([one.orientation for one in slices])
    turned = np.flatnonzero(np.abs(turns - np.median(turns, axis=0)).max(axis=1) > LARGEST_TURN)
    if turned.size:
        names = ", ".join(slices[at].name for at in turned[:5])
        return f"expected one orientation, found {turned.size} slices with another one (a localizer?): {names}; remove them"
    return _fault_of_places(slices) if len(slices) > 1 else ""


def set_geometry(image: Any, *, slices: Sequence[Slice]) -> None:
    """Gives an image the geometry that its slices state, which have no fault. SimpleITK's own is right for most files only."""
    if len(slices) > 1:
        depths = np.array([one.position for one in slices]) @ _normal(slices)
        step = float(depths[-1] - depths[0]) / (len(slices) - 1)
        image.SetOrigin(slices[0].position)
        image.SetSpacing([*slices[0].spacing[::-1], abs(step)])
        axes = [*np.reshape(slices[0].orientation, (2, 3)), np.sign(step) * _normal(slices)]
        image.SetDirection(np.stack(axes, axis=1).ravel().tolist())


def _normal(slices: Sequence[Slice]) -> np.ndarray:
    return np.cross(*np.reshape(slices[0].orientation, (2, 3)))


def _fault_of_places(slices: Sequence[Slice]) -> str:
    normal = _normal(slices)
    places = np.array([one.position for one in slices])
    depths = places @ normal
    order = np.argsort(depths, kind="stable")
    gaps = np.diff(depths[order])
    moves = np.diff(places[order], axis=0) - gaps[:, None] * normal
    usual, closest, worst = np.median(gaps), int(gaps.argmin()), int(np.abs(gaps - np.median(gaps)).argmax())

    def pair(number: int) -> str:
        return " and ".join(slices[at].name for at in order[number : number + 2])

    if gaps[closest] < LARGEST_ERROR:
        return (
            f"expected one slice per position, found {pair(closest)} at the same one (a copy, or several time points or "
            "echoes); keep one of them"
        )
    if np.ptp(gaps) > LARGEST_ERROR:
        return (
            f"its {len(slices)} slices are not evenly spaced: expected {usual:.4g} mm, found {gaps[worst]:.4g} mm between "
            f"{pair(worst)} (a slice that is missing or damaged?); export it again with all slices"
        )
    if np.linalg.norm(moves, axis=1).max() > LARGEST_ERROR:
        return "its slices are shifted sideways against each other (gantry tilt?); resample it to a rectangular grid"
    if not (np.diff(order) == 1).all() and not (np.diff(order) == -1).all():
        return f"its frames are not in the order of their positions; {SINGLE}"
    return ""


def _frames(path: str) -> list[Slice]:
    """The frames of an enhanced multi-frame file."""
    if importlib.util.find_spec("pydicom") is None:
        raise UserError(
            f"{path}: a file with several frames needs pydicom, which is not installed; run: "
            "pip install 'brats-cascade[dicom]'"
        )
    import pydicom

    head = pydicom.dcmread(path, stop_before_pixels=True)
    shared = _first(head, "SharedFunctionalGroupsSequence")
    frames = head.get("PerFrameFunctionalGroupsSequence") or [{}] * int(head.NumberOfFrames)

    def of(frame: Any, group: str, key: str) -> Any:
        return (_first(frame, group) or _first(shared, group)).get(key)

    return [
        Slice(
            f"frame {number} of {Path(path).name}",
            _numbers(of(frame, "PlanePositionSequence", "ImagePositionPatient")),
            _numbers(of(frame, "PlaneOrientationSequence", "ImageOrientationPatient")),
            _numbers(of(frame, "PixelMeasuresSequence", "PixelSpacing")),
            # One file is one kind, but SimpleITK applies the first frame's rescaling to all of them.
            kind=(
                *(str(head.get(key)) for key in ("Rows", "Columns", "SamplesPerPixel")), "1",
                *(str(of(frame, "PixelValueTransformationSequence", f"Rescale{key}")) for key in ("Slope", "Intercept")),
            ),
        )
        for number, frame in enumerate(frames, start=1)
    ]  # fmt: skip


def _first(dataset: Any, sequence: str) -> Any:
    return next(iter(dataset.get(sequence) or ()), {})


def _numbers(values: Iterable[Any] | None) -> tuple[float, ...]:
    """Values as numbers; none if one of them is not a finite number."""
    try:
        numbers = tuple(float(value) for value in values or ())
    except ValueError:
        return ()
    return numbers if np.isfinite(numbers).all() else ()
