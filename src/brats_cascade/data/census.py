"""What patches may be drawn from: which voxels are eligible, and how many there are of each label in each case."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brats_cascade.data.store import StoredCase, open_case
from brats_cascade.errors import UserError
from brats_cascade.labels import FIVE, MERGED, NECROSIS, NON_ENHANCING, SCHEMES

BLANK_SHARE = 0.01  # a slice of whose (uncropped) pixels less than this share is brain is blank


@dataclass(frozen=True)
class Census:
    """How many voxels there are to draw from.

    Attributes:
        classes: The canonical labels, ascending.
        border: As `eligible_voxels`.
        eligible: int64 (cases by name, classes), voxels a centre may be drawn from.
        volume: int64 (cases, classes), voxels of the whole uncropped volumes.
        outside_brain: Voxels of the stored (cropped) volumes left out because they are not brain.
        in_blank_slices: Brain voxels left out because their slice is blank.
        near_border: Brain voxels of other slices left out because they lie too near to the slice's edge.
    """

    classes: tuple[int, ...]
    border: int
    eligible: np.ndarray
    volume: np.ndarray
    outside_brain: int
    in_blank_slices: int
    near_border: int


def by_name(folders: Sequence[Path]) -> Iterator[StoredCase]:
    """Opens one case after the other, by name: an open one holds file descriptors, and a cohort has more than a process may.

    Raises:
        UserError: No cases, or two of one name.
    """
    names = sorted(folder.name for folder in folders)
    if not names or len(set(names)) < len(names):
        raise UserError(f"patches: expected cases of different names, at least one, received {names}")
    return map(open_case, sorted(folders, key=lambda folder: folder.name))


def classes_of(folders: Sequence[Path]) -> tuple[int, ...]:
    """The canonical labels that a network of these cases, all that are accepted, can learn to tell apart: five, or four.

    Four where any release merges necrosis and non-enhancing tumour, and where no case holds the latter.
    """
    five = all(SCHEMES[case.meta["scheme"]] == FIVE for case in map(open_case, folders))
    held = five and any(np.any(case.labels == NON_ENHANCING) for case in map(open_case, folders))
    return FIVE.canonical_labels if held else MERGED.canonical_labels


def labels_of(case: StoredCase, *, classes: Sequence[int]) -> np.ndarray:
    """The labels (slices, rows, columns) of a case that has a truth.

    Non-enhancing tumour joins necrosis, as in the merged releases, where the classes leave it out.
    """
    if case.labels is None:
        raise UserError(f"{case.name}: has no truth, so no patches can be drawn: run validate and split again")
    labels = np.asarray(case.labels)
    return labels if NON_ENHANCING in classes else np.where(labels == NON_ENHANCING, np.uint8(NECROSIS), labels)


def eligible_voxels(case: StoredCase, *, border: int = 0) -> np.ndarray:
    """Where a centre may lie, bool array of the stored (cropped) shape: in the brain, not in blank slices.

    Nor in the `border`, that many pixels at each of the four edges of the uncropped slice.
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


def count_voxels(folders: Sequence[Path], *, classes: Sequence[int], border: int = 0) -> Census:
    """Counts the voxels, by label, of stored cases with a truth.

    Raises:
        UserError: No cases, two of one name, one without truth, or one with a label outside the classes.
    """
    wanted = np.asarray(classes)
    eligible, volume = [], []
    outside = in_blank = near = 0
    for case in by_name(folders):
        labels, whole = labels_of(case, classes=classes), eligible_voxels(case)
        stored = np.bincount(labels.ravel(), minlength=256)
        if stored[wanted].sum() != labels.size:
            unknown = [int(label) for label in np.flatnonzero(stored) if label not in classes]
            raise UserError(f"{case.name}: labels.npy holds {unknown}, expected {list(classes)}: run ingest again")
        mask = eligible_voxels(case, border=border) if border else whole
        eligible.append(np.bincount(labels[mask], minlength=256)[wanted])
        volume.append(stored[wanted])
        volume[-1][0] += int(np.prod(case.meta["shape"])) - labels.size  # what cropping cut off is background
        brain, drawn_from = int(np.count_nonzero(case.brain)), int(np.count_nonzero(whole))
        outside += labels.size - brain
        in_blank += brain - drawn_from
        near += drawn_from - int(eligible[-1].sum())
    return Census(tuple(classes), border, np.stack(eligible), np.stack(volume), outside, in_blank, near)
