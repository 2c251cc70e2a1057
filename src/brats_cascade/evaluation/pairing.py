"""Pairs each segmentation with the ground truth of its case; every case that was seen is paired, or listed with a reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from brats_cascade.data.case import Case
from brats_cascade.data.cases import find_cases
from brats_cascade.data.listing import find_listing
from brats_cascade.errors import UserError
from brats_cascade.evaluation.label_files import (
    SUFFIXES,
    LabelFiles,
    Labelled,
    is_prediction_by_name,
    list_label_files,
)

__all__ = ["Labelled", "Pairs", "pair_labels"]


@dataclass(frozen=True)
class Pairs:
    """What is compared with what.

    Attributes:
        truths: Case -> its ground truth, for the cases that can be scored.
        predictions: Case -> its segmentation, for the same cases.
        reasons: Case (or file) -> why it cannot be scored, one line.
        failed: Those of `reasons` for which there is a prediction: the others have just not been predicted.
    """

    truths: Mapping[str, Labelled]
    predictions: Mapping[str, Labelled]
    reasons: Mapping[str, str]
    failed: frozenset[str]


def pair_labels(truth: Path, *, prediction: Path) -> Pairs:
    """Pairs by the case's name; a single file on each side is paired whatever it is called.

    A file is never compared with itself: what was taken for a ground truth is no prediction.

    Args:
        truth: A file; a folder of cases of any supported release, of which the ground truths are taken; or a folder of
            label files.
        prediction: A file, or a folder of label files. May be the folder of the ground truths.

    Returns:
        The pairs, and the reasons of all that has none.

    Raises:
        UserError: There is no such place, nothing is in it, or both are one file.
    """
    known = _truths(truth)
    if truth.is_file() and prediction.is_file() and len(known.labels) == 1:
        [file] = known.labels.values()
        if prediction.samefile(truth):
            raise UserError(f"{prediction}: is the ground truth itself; give the file of the prediction")
        other = Labelled(file.case, file.patient, file.grade, None, prediction)
        return Pairs(known.labels, {file.case: other}, {}, frozenset())
    found = _predictions(prediction, truths=known.labels)
    both = sorted(set(known.labels) & set(found.labels))
    reasons: dict[str, str] = {}
    predicted = set(found.labels) | set(found.unusable)
    for name in sorted(predicted - set(both)):
        without = f"{name}: no ground truth of this name for {_path(found, name)}; name the file after its case"
        reasons[name] = found.unusable.get(name) or known.unusable.get(name) or without
    for name in sorted((set(known.labels) | set(known.unusable)) - set(both) - predicted):
        absent = f"{name}: not predicted: no file of this name among the predictions"
        reasons[name] = found.absent.get(name) or known.unusable.get(name) or absent
    return Pairs(
        {name: known.labels[name] for name in both},
        {name: found.labels[name] for name in both},
        reasons,
        frozenset(predicted - set(both)),
    )


@dataclass(frozen=True)
class _Side:
    labels: Mapping[str, Labelled]
    unusable: Mapping[str, str]
    absent: Mapping[str, str]


def _path(side: _Side, name: str) -> str:
    return str(side.labels[name].path) if name in side.labels else name


def _truths(place: Path) -> _Side:
    """The ground truths of cases with their scans beside them; where there are none, a folder's label files."""
    cases = _cases(place, listing=True)
    if place.is_file() and not cases:
        file = Labelled.from_file(place)
        return _Side({file.case: file}, {}, {})
    if cases:
        labels = {
            case.name: Labelled(case.name, case.patient, case.grade, case.scheme, case.truth)
            for case in cases
            if case.truth is not None
        }
        return _Side(labels, {case.name: _without_truth(case) for case in cases if case.truth is None}, {})
    files = _listed(place)
    for case, several in files.found.items():  # where predictions lie beside the truths, names tell them apart
        others = [file for file in several if not is_prediction_by_name(file.path)]
        files.found[case] = others or several
    return _single(files)


def _predictions(place: Path, *, truths: Mapping[str, Labelled]) -> _Side:
    """A folder's label files that are neither a scan of a case nor one of the ground truths compared with."""
    if place.is_file():
        file = Labelled.from_file(place)
        own = file.case in truths and place.samefile(truths[file.case].path)
        if own:
            raise UserError(f"{place}: is the ground truth itself; give the file of the prediction")
        return _Side({file.case: file}, {}, {})
    cases = _cases(place, listing=False)
    scans = {_identity(path) for case in cases for path in case.images.values()}
    named = {_identity(case.truth): case.name for case in cases if case.truth is not None and case.truth.exists()}
    used = {_identity(file.path): name for name, file in truths.items() if file.path.exists()}
    files, given = LabelFiles(), _listed(place)
    absent = {}
    for case, path in given.images.items():
        absent[case] = f"{case}: not predicted: {path.parent} holds its scans and no segmentation"
    for file in (file for several in given.found.values() for file in several):
        key = _identity(file.path)
        if key in used:
            name = used[key]
            absent[name] = f"{name}: not predicted: {file.path} is its ground truth, and there is no other file of it"
        elif key not in scans:
            name = named.get(key, file.case)
            files.add(Labelled(name, name, file.grade, None, file.path))
    files.unusable.update({name: reason for name, reason in given.unusable.items() if name not in files.found})
    side = _single(files)
    return _Side(side.labels, side.unusable, absent)


def _listed(place: Path) -> LabelFiles:
    expected = f"expected segmentations ({', '.join(SUFFIXES)}), named after their case"
    if not place.is_dir():
        raise UserError(f"{place}: no such file or folder; {expected}")
    files = list_label_files(place)
    if not (files.found or files.unusable or files.images):
        raise UserError(f"{place}: no segmentation found; {expected}")
    return files


def _single(files: LabelFiles) -> _Side:
    """The cases with one file; those with several cannot be used."""
    unusable = dict(files.unusable)
    for case, several in files.found.items():
        if len(several) > 1:
            unusable[case] = f"{case}: {len(several)} files, {_and(several)}; keep one"
    return _Side({case: several[0] for case, several in files.found.items() if len(several) == 1}, unusable, {})


def _cases(place: Path, *, listing: bool) -> Sequence[Case]:
    """The cases of a folder or a listing; none where there are files of labels alone.

    Args:
        place: The folder or file.
        listing: Whether a listing that cannot be read is an error.
    """
    if not place.is_dir() and find_listing(place) is None:
        return ()
    try:
        return find_cases(place)
    except UserError:
        if listing and find_listing(place) is not None:
            raise
        return ()


def _without_truth(case: Case) -> str:
    about = [problem for problem in case.problems if "truth" in problem]
    return about[0] if about else f"{case.name}: no ground truth in {case.folder}; add it, or score the others"


def _and(several: Sequence[Labelled]) -> str:
    return " and ".join(str(file.path) for file in several)


def _identity(path: Path) -> tuple[int, int] | Path:
    """What two names of one file share, through links too."""
    try:
        status = path.stat()
    except OSError:
        return path
    return status.st_dev, status.st_ino
