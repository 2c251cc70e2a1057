"""Puts labels of the cropped canonical frame back into a case's own grid, orientation and numbers."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.cases import Case
from brats_cascade.data.images import from_canonical, read_image, write_labels
from brats_cascade.data.preprocess import uncrop
from brats_cascade.data.recipe import AXES
from brats_cascade.labels import SCHEMES, recode

SIGNED = "brats-cascade predict"


def restore_labels(labels_cropped: np.ndarray, meta: Mapping[str, Any]) -> np.ndarray:
    """Labels on the case's own grid, still canonical; 0 outside the brain's box. Any other volume as well.

    Args:
        labels_cropped: (slices, rows, columns) of the brain's box.
        meta: The case's, with `offset`, `shape`, `affine` and `axis`.

    Returns:
        (x, y, z) in the order and orientation of the case's files.
    """
    whole = uncrop(labels_cropped, offset=meta["offset"], shape=meta["shape"])
    upright = whole.transpose(np.argsort(AXES[meta.get("axis", "axial")]))
    return from_canonical(upright, affine=np.array(meta["affine"]))


def write_segmentation(
    path: Path, labels_cropped: np.ndarray, *, case: Case, meta: Mapping[str, Any], signed: bool = False
) -> None:
    """Writes a segmentation on the grid of the case's scans, in the label numbers of `case.scheme`.

    The ground truth, where there is one, has no say: its header may place it elsewhere, and its file may be damaged.

    Args:
        path: .nii, .nii.gz or .mha.
        labels_cropped: Canonical labels (slices, rows, columns) of the brain's box.
        case: The case; the header of its first modality is kept, and that file's type if it is one of whole numbers.
        meta: The case's meta.
        signed: Whether to put `signature` into a NIfTI header.

    Raises:
        UserError: The case's files cannot be read any more, or `path` has another suffix.
    """
    labels = recode(restore_labels(labels_cropped, meta), table=SCHEMES[case.scheme].from_canonical)
    like = case.images[MODALITIES[0]]
    axes = 4 if case.channels else 3
    whole_numbers = read_image(like, axes=axes).dtype.kind in "iu"
    note = signature(labels) if signed else ""
    write_labels(path, labels, like=like, axes=axes, dtype=None if whole_numbers else np.uint8, note=note)


def signature(voxels: np.ndarray) -> str:
    """What `predict` writes into `descrip` of its NIfTI headers: its name, and a digest that any later edit breaks."""
    digest = hashlib.sha256(np.ascontiguousarray(voxels.T, dtype="<f4").data).hexdigest()
    return f"{SIGNED} {digest[:32]}"
