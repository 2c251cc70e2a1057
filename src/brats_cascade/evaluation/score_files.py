"""Scores a label file against another one, with checks of their label schemes and grids."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from brats_cascade.data.images import canonical_affine, canonical_spacing, read_image, to_canonical
from brats_cascade.data.releases import RELEASES
from brats_cascade.data.truth import whole_labels
from brats_cascade.data.writeback import MISFITS, read_misfits
from brats_cascade.errors import UserError
from brats_cascade.evaluation.label_files import Labelled
from brats_cascade.evaluation.lesions import LESION_SCORES, score_lesions
from brats_cascade.evaluation.regions import NO_MATCH_MM, SCORES, score_case
from brats_cascade.labels import REGIONS, SCHEMES, recode

MISFITS_SEEN = "misfits"  # column: the notes of `predict` in the file, keys of writeback.MISFITS
SAME = "same_as_truth"  # column: whether prediction and ground truth are identical and contain tumour


def schemes_of(truths: Iterable[Labelled], *, given: str) -> tuple[dict[str, str], dict[str, str]]:
    """The label scheme of every ground truth; those of an unknown release are judged together, from their values.

    Returns:
        Case -> key of labels.SCHEMES; and for each case that is left out, the problem with its file.

    Raises:
        UserError: The values fit several schemes, and the given scheme is "auto".
    """
    found: dict[str, str] = {}
    numbers: dict[str, set[int]] = {}
    broken: dict[str, str] = {}
    for file in truths:
        own = given if given != "auto" else file.scheme
        if own is not None:
            found[file.case] = own
            continue
        try:
            labels = whole_labels(read_image(file.path).array, path=file.path)
            numbers[file.case] = set(np.unique(labels).tolist())
        except UserError as error:
            broken[file.case] = f"{file.case}: {error}"
    if numbers:
        found |= dict.fromkeys(numbers, _scheme_with(set().union(*numbers.values()), cases=numbers))
    return found, broken


def score_pair(truth: Labelled, prediction: Labelled, *, schemes: tuple[str, str]) -> dict[str, Any]:
    """One row of scores; `schemes` are keys of labels.SCHEMES for the ground truth and the prediction.

    Returns:
        case, patient, grade, the columns of `regions.score_case` and `lesions.score_lesions` (NaN for a region that one of
        the schemes does not define), `SAME` and `MISFITS_SEEN`.

    Raises:
        UserError: A file cannot be read or contains labels that its scheme does not define, or the grids differ.
    """
    (true, place), (found, other) = (
        read_labels(file.path, scheme=scheme) for file, scheme in zip((truth, prediction), schemes, strict=True)
    )
    check_place(other, expected=place, path=prediction.path)
    facts = {"case": truth.case, "patient": truth.patient, "grade": truth.grade}
    same = bool(true.any()) and np.array_equal(true, found)
    scores = score_case(true, found, spacing=place.spacing) | score_lesions(true, found, spacing=place.spacing)
    scores |= _not_available(*schemes)
    return {**facts, **scores, SAME: same, MISFITS_SEEN: read_misfits(prediction.path)}


def _not_available(truth: str, prediction: str) -> dict[str, float]:
    """NaN for all scores of a region that one of the schemes does not define, and for its volume there."""
    true, predicted = (SCHEMES[name].regions for name in (truth, prediction))
    kept = [
        {"truth_cm3"} if region in true else {"predicted_cm3"} if region in predicted else set() for region in REGIONS
    ]
    return {
        f"{region}_{score}": math.nan
        for region, volume in zip(REGIONS, kept, strict=True)
        if region not in true or region not in predicted
        for score in (*SCORES, *LESION_SCORES)
        if score not in volume
    }


def notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Notes for the reader of the scores: empty regions, predictions equal to the ground truth, models that may not fit."""
    said = []
    for region in REGIONS:
        scored = [row for row in rows if not math.isnan(row[f"{region}_dice"])]
        if len(scored) < len(rows):
            said.append(
                f"{region}: not available for {len(rows) - len(scored)} of {len(rows)} cases, whose labels do not define it"
            )
        empty = [(row[f"{region}_truth_cm3"] == 0, row[f"{region}_predicted_cm3"] == 0) for row in scored]
        counts = {
            "in both": (True, True),
            "in the ground truth alone": (True, False),
            "in the prediction alone": (False, True),
        }
        parts = [f"{words} for {empty.count(kind)}" for words, kind in counts.items() if kind in empty]
        if parts:
            said.append(f"{region}: empty {', '.join(parts)} of {len(scored)} cases")
    if any(": empty" in line for line in said):
        said.append(
            f"a region that is empty in both counts as Dice 1 and HD95 0, in only one as Dice 0 and HD95 {NO_MATCH_MM:.2f} mm"
        )
    same = [str(row["case"]) for row in rows if row[SAME]]
    if same:
        said.append(
            f"equal to the ground truth voxel for voxel: {first_of(same)}; make sure that these are not copies of it"
        )
    for word, text in MISFITS.items():
        held = [str(row["case"]) for row in rows if word in row[MISFITS_SEEN]]
        if held:
            said.append(
                f"{text}: {first_of(held)}; these scores do not show how well the model does on cases like its training data"
            )
    return said


def first_of(cases: Sequence[str], *, shown: int = 3) -> str:
    """The first cases by name, and the number of others."""
    return ", ".join(cases[:shown]) + (f" and {len(cases) - shown} more" if len(cases) > shown else "")


def _scheme_with(numbers: set[int], *, cases: Iterable[str]) -> str:
    if {3, 4} <= numbers:
        later = next((case for case in cases if re.fullmatch(RELEASES["brats2023"].patient, case)), None)
        if later:
            raise UserError(
                f"--scheme: {later} is named as in BraTS 2023 and later, where 4 is the resection cavity, which no scheme "
                "has; remove that label, or name the scheme"
            )
        return "five"
    if 4 in numbers:
        return "merged"
    if 3 in numbers:
        raise UserError(
            f"--scheme: labels {sorted(numbers)} fit merged-2023 (3 is enhancing), decathlon (1 is edema) and five; name one"
        )
    raise UserError(f"--scheme: labels {sorted(numbers)} fit several schemes; name one of {', '.join(SCHEMES)}")


class Place(NamedTuple):
    """The grid of a volume: its shape and voxel sizes (slices, rows, columns), and its eight corner voxels, mm."""

    shape: tuple[int, ...]
    spacing: tuple[float, float, float]
    corners: np.ndarray

    @classmethod
    def of(cls, affine: np.ndarray, *, shape: Sequence[int]) -> "Place":
        """The grid of a file with this affine, whose volume has this shape (slices, rows, columns)."""
        corners = np.array([[*corner, 1] for corner in product(*((0, size - 1) for size in reversed(shape)))])
        in_mm = corners @ canonical_affine(affine, shape=shape).T
        return cls(tuple(shape), canonical_spacing(affine), in_mm[:, :3])


def check_place(found: Place, *, expected: Place, path: Path) -> None:
    """Raises a UserError if labels have another shape, voxel size or position than expected."""
    cure = "bring the segmentation onto the case's own grid"
    if found.shape != expected.shape:
        raise UserError(
            f"{path}: expected the ground truth's shape {expected.shape} (slices, rows, columns), found {found.shape}; {cure}"
        )
    if not np.allclose(expected.spacing, found.spacing, rtol=0.01):
        raise UserError(
            f"{path}: expected the ground truth's voxels of {_mm(expected.spacing)} mm, found {_mm(found.spacing)}; {cure}"
        )
    apart = float(np.abs(expected.corners - found.corners).max())
    if apart > 0.5 * min(expected.spacing):
        raise UserError(
            f"{path}: is shifted by {apart:.3g} mm relative to the ground truth, or rotated; write it with the header of the "
            "case's files"
        )


def read_labels(path: Path, *, scheme: str) -> tuple[np.ndarray, Place]:
    """The canonical labels (slices, rows, columns) of a file with a given scheme, and their grid.

    Raises:
        UserError: The file cannot be read, or contains labels that the scheme does not define.
    """
    image = read_image(path)
    voxels = whole_labels(image.array, path=path)
    known = SCHEMES[scheme].to_canonical
    wrong = [value for value in np.unique(voxels).tolist() if value not in known]
    if wrong:
        raise UserError(
            f"{path}: expected labels {sorted(known)} ({scheme}), found also {wrong[:5]}; give the right scheme or correct "
            "the file"
        )
    labels = recode(to_canonical(voxels, affine=image.affine), table=known)
    return labels, Place.of(image.affine, shape=labels.shape)


def _mm(spacing: Sequence[float]) -> str:
    return " x ".join(f"{size:.3g}" for size in spacing)
