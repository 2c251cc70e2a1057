"""Counts the voxels around which patches may be drawn, for each label in each case."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brats_cascade.data.store import StoredCase, open_case
from brats_cascade.errors import UserError
from brats_cascade.labels import FIVE, MERGED, NECROSIS, NON_ENHANCING, SCHEMES

BLANK_SHARE = 0.01  # a slice is blank if less than this share of its (uncropped) pixels is brain


@dataclass(frozen=True)
class Census:
    """The number of voxels that patches can be drawn from.

    Attributes:
        classes: The canonical labels, ascending.
        border: As in `eligible_voxels`.
        eligible: Voxels that may be the centre of a patch, int64 (cases by name, classes).
        volume: Voxels of the whole uncropped volumes, int64 (cases, classes).
        outside_brain: Voxels of the stored (cropped) volumes that are excluded because they are not brain.
        in_blank_slices: Brain voxels that are excluded because their slice is blank.
        near_border: Brain voxels of the other slices that are excluded because they are too close to the slice's edge.
    """

    classes: tuple[int, ...]
    border: int
    eligible: np.ndarray
    volume: np.ndarray
    outside_brain: int
    in_blank_slices: int
    near_border: int


def by_name(folders: Sequence[Path]) -> Iterator[StoredCase]:
    """Yields the cases one at a time, by name. An open case holds file descriptors, which are limited.

    Raises:
        UserError: There are no cases, or two have the same name.
    """
    names = sorted(folder.name for folder in folders)
    if not names or len(set(names)) < len(names):
        raise UserError(f"patches: expected cases of different names, at least one, received {names}")
    return map(open_case, sorted(folders, key=lambda folder: folder.name))


def classes_of(folders: Sequence[Path]) -> tuple[int, ...]:
    """The canonical labels that a network can learn from these cases (all accepted cases): five, or four.

    Four if any release merges necrosis and non-enhancing tumour, or if no case has non-enhancing tumour.
    """
    five = all(SCHEMES[case.meta["scheme"]] == FIVE for case in map(open_case, folders))
    held = five and any(np.any(case.labels == NON_ENHANCING) for case in map(open_case, folders))
    return FIVE.canonical_labels if held else MERGED.canonical_labels


def labels_of(case: StoredCase, *, classes: Sequence[int]) -> np.ndarray:
    """The labels (slices, rows, columns) of a case with ground truth.

    If the classes do not include non-enhancing tumour, it is merged into necrosis, as in the merged releases.
    """
    if case.labels is None:
        raise UserError(f"{case.name}: has no ground truth, so no patches can be drawn: run validate and split again")
    labels = np.asarray(case.labels)
    return labels if NON_ENHANCING in classes else np.where(labels == NON_ENHANCING, np.uint8(NECROSIS), labels)


def eligible_voxels(case: StoredCase, *, border: int = 0) -> np.ndarray:
    """Where the centre of a patch may lie: bool array of the stored (cropped) shape.

    A centre lies in the brain, not in a blank slice, and at least `border` pixels from every edge of the uncropped slice.
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
    """Counts the voxels of each label in stored cases with ground truth.

    Raises:
        UserError: There are no cases, two have the same name, or one has no ground truth or a label outside the classes.
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
        volume[-1][0] += int(np.prod(case.meta["shape"])) - labels.size  # cropped voxels are background
        brain, drawn_from = int(np.count_nonzero(case.brain)), int(np.count_nonzero(whole))
        outside += labels.size - brain
        in_blank += brain - drawn_from
        near += drawn_from - int(eligible[-1].sum())
    return Census(tuple(classes), border, np.stack(eligible), np.stack(volume), outside, in_blank, near)
