"""Pairs each segmentation with the ground truth of its case; every case is paired, or listed with a reason."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from brats_cascade.data.case import Case
from brats_cascade.data.cases import find_cases
from brats_cascade.data.listing import find_listing
from brats_cascade.errors import UserError
from brats_cascade.evaluation.label_files import READ, LabelFiles, Labelled, is_prediction_by_name, list_label_files


@dataclass(frozen=True)
class Pairs:
    """The pairs to score, and what cannot be scored."""

    truths: Mapping[str, Labelled]  # case -> ground truth, for the cases that can be scored
    predictions: Mapping[str, Labelled]  # case -> segmentation, for the same cases
    reasons: Mapping[str, str]  # case (or file) -> one-line reason why it cannot be scored
    failed: Set[str]  # those of `reasons` that have a prediction


def pair_labels(truth: Path, *, prediction: Path) -> Pairs:
    """Pairs files by the case's name; a single file on each side is paired whatever its name.

    A file is never compared with itself: a ground truth is never used as a prediction.

    Args:
        truth: A file; a folder of cases of any supported release, whose ground truths are used; or a folder of label files.
        prediction: A file, or a folder of label files, which may be the folder of the ground truths.

    Raises:
        UserError: A path does not exist or contains nothing to score, or both are the same file.
    """
    truths, without = _truths(truth)
    if truth.is_file() and prediction.is_file() and len(truths) == 1:
        [file] = truths.values()
        refuse_same(prediction, truth=truth)
        return Pairs(truths, {file.case: replace(file, scheme=None, path=prediction)}, {}, frozenset())
    found, unusable = predictions_in(prediction, truths=truths)
    both, predicted = sorted(truths.keys() & found.keys()), found.keys() | unusable.keys()
    reasons: dict[str, str] = {}
    for name in sorted(predicted - set(both)):
        place = found[name].path if name in found else name
        unknown = f"{name}: no ground truth of this name for {place}; name the file after its case"
        reasons[name] = unusable.get(name) or without.get(name) or unknown
    for name in sorted((truths.keys() | without.keys()) - set(both) - predicted):
        missing = f"{name}: not predicted: no file of this name among the predictions"
        reasons[name] = without.get(name) or missing
    pairs = [{name: side[name] for name in both} for side in (truths, found)]
    return Pairs(pairs[0], pairs[1], reasons, predicted - set(both))


def _truths(place: Path) -> tuple[dict[str, Labelled], dict[str, str]]:
    """The ground truths of cases that also have scans, or else the label files of a folder; and what cannot be used."""
    cases = _cases(place, listing=True)
    if cases:
        labels = {
            case.name: Labelled(case.name, case.patient, case.grade, case.scheme, case.truth)
            for case in cases
            if case.truth is not None
        }
        return labels, {case.name: _without_truth(case) for case in cases if case.truth is None}
    if place.is_file():
        file = Labelled.from_file(place)
        return {file.case: file}, {}
    files = _listed(place)
    for case, several in files.found.items():  # predictions in the same folder are recognised by their names
        others = [file for file in several if not is_prediction_by_name(file.path)]
        files.found[case] = others or several
    return _single(files)


def predictions_in(place: Path, *, truths: Mapping[str, Labelled]) -> tuple[dict[str, Labelled], dict[str, str]]:
    """The label files in a folder that are neither scans of a case nor ground truths in the comparison.

    Returns:
        Case -> its file; case or file -> why it cannot be used.
    """
    if place.is_file():
        file = Labelled.from_file(place)
        if file.case in truths:
            refuse_same(place, truth=truths[file.case].path)
        return {file.case: file}, {}
    cases = _cases(place, listing=False)
    scans = {_identity(path) for case in cases for path in case.images.values()}
    named = {_identity(case.truth): case.name for case in cases if case.truth is not None and case.truth.exists()}
    taken = scans | {_identity(file.path) for file in truths.values() if file.path.exists()}
    files, given = LabelFiles(), _listed(place)
    for file in (file for several in given.found.values() for file in several):
        key = _identity(file.path)
        if key not in taken:
            name = named.get(key, file.case)
            files.add(replace(file, case=name, patient=name))
    files.unusable.update({name: reason for name, reason in given.unusable.items() if name not in files.found})
    return _single(files)


def refuse_same(prediction: Path, *, truth: Path) -> None:
    """Raises a UserError if a prediction is the same file as the ground truth."""
    if truth.exists() and prediction.samefile(truth):
        raise UserError(f"{prediction}: is the ground truth itself; give the file of the prediction")


def _listed(place: Path) -> LabelFiles:
    expected = f"expected segmentations ({', '.join(READ)}), named after their case"
    if not place.is_dir():
        raise UserError(f"{place}: no such file or folder; {expected}")
    files = list_label_files(place)
    if not (files.found or files.unusable):
        raise UserError(f"{place}: no segmentation found; {expected}")
    return files


def _single(files: LabelFiles) -> tuple[dict[str, Labelled], dict[str, str]]:
    """The cases with exactly one file, and what cannot be used, including the cases with several."""
    unusable = dict(files.unusable)
    for case, several in files.found.items():
        if len(several) > 1:
            places = " and ".join(str(file.path) for file in several)
            unusable[case] = f"{case}: {len(several)} files, {places}; keep one"
    return {case: several[0] for case, several in files.found.items() if len(several) == 1}, unusable


def _cases(place: Path, *, listing: bool) -> Sequence[Case]:
    """The cases of a folder, or of a listing, which with `listing` must be readable; none if there are only labels."""
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


def _identity(path: Path) -> tuple[int, int] | Path:
    """A value that is equal for two names of one file, also through links."""
    try:
        status = path.stat()
    except OSError:
        return path
    return status.st_dev, status.st_ino
