"""What patches may be drawn from: which voxels are eligible, and how many there are of each label in each case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.data.store import StoredCase, open_case
from brats_cascade.errors import UserError
from brats_cascade.labels import FIVE, MERGED, NECROSIS, NON_ENHANCING, SCHEMES

BLANK_SHARE = 0.01  # a slice of whose (uncropped) pixels less than this share is brain is blank


@dataclass(frozen=True)
class CaseOnDemand:
    """A case of the volume store, opened anew for each look at it.

    An open memory map holds a file descriptor, and a cohort of some hundred cases has more than a process may have.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The case."""
        return self.folder.name

    @property
    def brain(self) -> np.ndarray:
        """The memory-mapped bool (slices, rows, columns)."""
        return open_case(self.folder).brain

    @property
    def labels(self) -> np.ndarray | None:
        """The memory-mapped uint8 (slices, rows, columns), or None."""
        return open_case(self.folder).labels

    @property
    def meta(self) -> Mapping[str, Any]:
        """The content of meta.json."""
        return open_case(self.folder).meta


PatchSource = StoredCase | CaseOnDemand


@dataclass(frozen=True)
class Census:
    """How many voxels there are to draw from.

    Attributes:
        names: The cases, ascending.
        classes: The canonical labels, ascending.
        eligible: int64 (cases, classes), voxels a centre may be drawn from.
        volume: int64 (cases, classes), voxels of the whole uncropped volumes.
        outside_brain: Voxels of the stored (cropped) volumes left out because they are not brain.
        in_blank_slices: Brain voxels left out because their slice is blank.
        near_border: Brain voxels of other slices left out because they lie too near to the slice's edge.
    """

    names: tuple[str, ...]
    classes: tuple[int, ...]
    eligible: np.ndarray
    volume: np.ndarray
    outside_brain: int
    in_blank_slices: int
    near_border: int = 0


def classes_of(cases: Sequence[PatchSource]) -> tuple[int, ...]:
    """The canonical labels that a network of these cases, all that are accepted, can learn to tell apart: five, or four.

    Four where any release merges necrosis and non-enhancing tumour, and where no case holds the latter.
    """
    if all(SCHEMES[case.meta["scheme"]] == FIVE for case in cases) and any(map(_has_non_enhancing, cases)):
        return FIVE.canonical_labels
    return MERGED.canonical_labels


def _has_non_enhancing(case: PatchSource) -> bool:
    labels = case.labels
    return labels is not None and bool((labels == NON_ENHANCING).any())


def merge_labels(labels: np.ndarray, *, classes: Sequence[int]) -> np.ndarray:
    """Joins non-enhancing tumour to necrosis, as the merged releases do, where the classes leave it out.

    The labels themselves come back where all five stay.
    """
    if NON_ENHANCING in classes:
        return labels
    return np.where(labels == NON_ENHANCING, np.uint8(NECROSIS), labels)


def eligible_voxels(case: PatchSource, *, border: int = 0) -> np.ndarray:
    """Where a centre may lie, bool array of the stored (cropped) shape.

    Args:
        case: A stored case; meta["shape"] is the uncropped (slices, rows, columns), and meta["offset"] the place of the
            stored box in it.
        border: Pixels of the uncropped slice, at each of its four edges, in which no centre may lie.
    """
    brain = np.asarray(case.brain)
    _, rows, columns = case.meta["shape"]
    blank = brain.sum(axis=(1, 2)) < BLANK_SHARE * rows * columns
    eligible = brain & ~blank[:, np.newaxis, np.newaxis]
    if border:
        for axis, size in ((1, rows), (2, columns)):
            place = np.arange(brain.shape[axis]) + case.meta["offset"][axis]
            far = (place >= border) & (place < size - border)
            eligible &= far[:, np.newaxis] if axis == 1 else far
    return eligible


def count_voxels(cases: Sequence[PatchSource], *, classes: Sequence[int], border: int = 0) -> Census:
    """Counts the voxels, by label, of cases with a truth.

    Raises:
        UserError: No cases, two of one name, one without truth, or one with a label outside the classes.
    """
    ordered = by_name(cases)
    wanted = np.asarray(classes)
    eligible = np.zeros((len(ordered), len(classes)), dtype=np.int64)
    volume = np.zeros_like(eligible)
    outside = in_blank = near = 0
    for number, case in enumerate(ordered):
        labels, whole = labels_of(case, classes=classes), eligible_voxels(case)
        mask = eligible_voxels(case, border=border) if border else whole
        stored = np.bincount(labels.ravel(), minlength=256)
        if stored[wanted].sum() != labels.size:
            unknown = [int(label) for label in np.flatnonzero(stored) if label not in classes]
            raise UserError(f"{case.name}: labels.npy holds {unknown}, expected {list(classes)}: run ingest again")
        eligible[number] = np.bincount(labels[mask], minlength=256)[wanted]
        volume[number] = stored[wanted]
        volume[number, 0] += int(np.prod(case.meta["shape"])) - labels.size  # what cropping cut off is background
        brain = int(np.count_nonzero(case.brain))
        outside += labels.size - brain
        in_blank += brain - int(np.count_nonzero(whole))
        near += int(np.count_nonzero(whole)) - int(eligible[number].sum())
    names = tuple(case.name for case in ordered)
    return Census(names, tuple(classes), eligible, volume, outside, in_blank, near)


def by_name(cases: Sequence[PatchSource]) -> list[PatchSource]:
    """The cases by name; refuses none at all and two of one name."""
    names = [case.name for case in cases]
    if not names or len(set(names)) < len(names):
        raise UserError(f"patches: expected cases of different names, at least one, received {sorted(names)}")
    return sorted(cases, key=lambda case: case.name)


def labels_of(case: PatchSource, *, classes: Sequence[int]) -> np.ndarray:
    """The labels (slices, rows, columns) of a case that has a truth, merged where the classes want it."""
    labels = case.labels
    if labels is None:
        raise UserError(f"{case.name}: has no truth, so no patches can be drawn: run validate and split again")
    return merge_labels(np.asarray(labels), classes=classes)
