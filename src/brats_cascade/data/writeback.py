"""Puts labels of the cropped canonical frame back onto a case's own grid, with its orientation and label values."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.case import Case
from brats_cascade.data.images import ImageError, from_canonical, header_texts, write_labels
from brats_cascade.data.preprocess import AXES, uncrop
from brats_cascade.errors import UserError
from brats_cascade.labels import SCHEMES, recode

SIGNED = "brats-cascade predict"
SCHEME_KEY = "label_scheme"  # key in a dataset.json
DIGITS = 16  # characters of the digest behind it
# How a case may differ from a network's training data: word in the file -> description of such cases.
MISFITS: Mapping[str, str] = {
    "phantom": "phantoms predicted by a model of real scans, or vice versa",
    "spacing": "voxels of a different size from the model's training data",
    "patient": "patients of the model's own training or validation set",
}


def restore_labels(labels_cropped: np.ndarray, meta: Mapping[str, Any]) -> np.ndarray:
    """Puts labels (or any other volume) of the brain's box (slices, rows, columns) onto the case's own grid; 0 outside the box.

    Returns:
        (x, y, z) in the order and orientation of the case's files.
    """
    whole = uncrop(labels_cropped, offset=meta["offset"], shape=meta["shape"])
    upright = whole.transpose(np.argsort(AXES[meta.get("axis", "axial")]))
    return from_canonical(upright, affine=np.array(meta["affine"]))


def write_segmentation(
    path: Path,
    labels_cropped: np.ndarray,
    *,
    case: Case,
    meta: Mapping[str, Any],
    options: str = "",
    misfits: Iterable[str] = (),
) -> None:
    """Writes canonical labels of the brain's box on the grid of the case's scans, with the label values of `case.scheme`.

    The ground truth's grid is never used: its header may differ, and its file may be damaged.

    Args:
        path: .nii, .nii.gz or .mha; a NIfTI file keeps the header of the first modality and names the scheme.
        labels_cropped: Labels (slices, rows, columns).
        case: The case.
        meta: The case's meta.
        options: As in `signature`, which a NIfTI header holds.
        misfits: Keys of MISFITS, appended to the signature.

    Raises:
        UserError: The case's files can no longer be read, or `path` has another suffix.
    """
    labels = recode(restore_labels(labels_cropped, meta), table=SCHEMES[case.scheme].from_canonical)
    like = case.images[MODALITIES[0]]
    axes = 4 if case.channels else 3
    words = ",".join(word for word in MISFITS if word in misfits)
    note = f"{signature(labels, options=options)} {words}".rstrip()
    write_labels(path, labels, like=like, axes=axes, note=note, scheme=case.scheme)


def signature(voxels: np.ndarray, *, options: str = "none") -> str:
    """The text that `predict` writes into `descrip` of NIfTI headers: its name, a digest that any edit breaks, and `options`.

    `options` is a short code for the networks, options and scans that produced the voxels.
    """
    digest = hashlib.sha256(np.ascontiguousarray(voxels.T, dtype="<f4").data).hexdigest()
    return f"{SIGNED} {digest[:DIGITS]} {options or 'none'}"


def read_misfits(path: Path) -> list[str]:
    """The keys of MISFITS that `predict` wrote into a segmentation's header; none for files from other programs."""
    note = _header_text(path, field="descrip")
    if not note.startswith(SIGNED):
        return []
    return [word for word in note.split(" ")[-1].split(",") if word in MISFITS]


def read_scheme(path: Path) -> str | None:
    """The label scheme of a segmentation, a key of labels.SCHEMES, from its header or a dataset.json in its folder; or None.

    nnU-Net copies the dataset.json of its training set, in which `export-nnunet` names the scheme, next to its predictions.

    Raises:
        UserError: dataset.json names an unknown scheme.
    """
    name = _header_text(path, field="intent_name")
    if name in SCHEMES:
        return name
    beside = path.parent / "dataset.json"
    try:
        named = json.loads(beside.read_text(encoding="utf-8")).get(SCHEME_KEY)
    except (OSError, ValueError, AttributeError, RecursionError):  # the file may come from any program
        return None
    if named is not None and named not in list(SCHEMES):
        known = ", ".join(SCHEMES)
        raise UserError(f"{beside}: {SCHEME_KEY}: expected one of {known}, found {named!r:.60}; correct or remove it")
    return named


def _header_text(path: Path, *, field: str) -> str:
    try:
        return header_texts(path).get(field, "")
    except ImageError:  # a damaged file, which its reader will report
        return ""
