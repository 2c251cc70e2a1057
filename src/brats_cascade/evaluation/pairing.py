"""Finding segmentations and matching them with their truth by the case's name, whoever made them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from brats_cascade.data.cases import find_cases
from brats_cascade.errors import UserError

SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd")
# What people put behind a case's name: BraTS's own, ours, nnU-Net's and others'.
TAIL = re.compile(r"[._-](seg|segmentation|truth|gt|label|labels|pred|prediction|mask|ot)$", re.IGNORECASE)
NOT_LABELS = re.compile(r"[._-](flair|t1|t1c|t1ce|t2|t1n|t2w|t2f|probabilities|uncertainty)$", re.IGNORECASE)


@dataclass(frozen=True)
class Labelled:
    """One file of labels.

    Attributes:
        case: The case's name.
        patient: Whom it is of; the case's name where nothing else is known.
        grade: "high", "low" or "unknown".
        scheme: Key of labels.SCHEMES where the release is known, else None.
        path: The file.
    """

    case: str
    patient: str
    grade: str
    scheme: str | None
    path: Path


def find_labels(place: Path) -> dict[str, Labelled]:
    """Finds label files: one file, the truths of a folder of cases of any supported release, or a folder of files.

    Args:
        place: A file or a folder, looked through at any depth.

    Returns:
        Case -> its labels. In a folder of files the name is the file's, without its ending and what
        people put behind a name (`_seg`, `_truth`, `_pred` ...).

    Raises:
        UserError: Nothing is there, or two files are of one case.
    """
    if place.is_file():
        return {labelled.case: labelled for labelled in [_from_file(place)]}
    if not place.is_dir():
        raise UserError(f"{place}: no such file or folder; expected segmentations ({', '.join(SUFFIXES)})")
    found = _of_cases(place)
    if found:
        return found
    for path in sorted(place.rglob("*")):
        if not path.is_file() or path.name.startswith(".") or not path.name.lower().endswith(SUFFIXES):
            continue
        if NOT_LABELS.search(_stem(path)):
            continue
        labelled = _from_file(path)
        if labelled.case in found:
            raise UserError(f"{labelled.case}: two files, {found[labelled.case].path} and {path}; keep one")
        found[labelled.case] = labelled
    if not found:
        raise UserError(
            f"{place}: no segmentation found; expected files ending in {', '.join(SUFFIXES)}, named after their case"
        )
    return found


def match(truth: Mapping[str, Labelled], prediction: Mapping[str, Labelled]) -> tuple[list[str], dict[str, str]]:
    """Matches by name; a single file on each side matches whatever it is called.

    Args:
        truth: From `find_labels`.
        prediction: Likewise.

    Returns:
        Names on both sides, and name -> one line for every prediction without truth and truth without prediction.
    """
    both = sorted(set(truth) & set(prediction))
    reasons = {
        name: f"{name}: no truth of this name for {prediction[name].path}; rename the file after its case"
        for name in sorted(set(prediction) - set(truth))
    }
    reasons |= {
        name: f"{name}: not predicted: no file of this name among the predictions"
        for name in sorted(set(truth) - set(prediction))
    }
    return both, reasons


def _of_cases(place: Path) -> dict[str, Labelled]:
    """The truths of cases with their modalities beside them; empty where the folder holds none."""
    try:
        cases = find_cases(place)
    except UserError:
        return {}
    return {
        case.name: Labelled(case.name, case.patient, case.grade, case.scheme, case.truth)
        for case in cases
        if case.truth is not None
    }


def _from_file(path: Path) -> Labelled:
    name = TAIL.sub("", _stem(path))
    return Labelled(name, name, "unknown", None, path)


def _stem(path: Path) -> str:
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name
