"""Puts labels of the cropped canonical frame back into a case's own grid, orientation and numbers."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.case import Case
from brats_cascade.data.images import from_canonical, write_labels
from brats_cascade.data.preprocess import uncrop
from brats_cascade.data.recipe import AXES
from brats_cascade.errors import UserError
from brats_cascade.labels import SCHEMES, recode

SIGNED = "brats-cascade predict"
SCHEME_KEY = "label_scheme"  # in a dataset.json
DIGITS = 16  # of the digest behind it
# How a case may differ from what a network was trained on: the word in the file -> what it says of the cases.
MISFITS: Mapping[str, str] = {
    "phantom": "phantoms predicted by a model of real scans, or the reverse",
    "spacing": "voxels of another size than in the model's training",
    "patient": "patients of the model's own training or validation set",
}


def restore_labels(labels_cropped: np.ndarray, meta: Mapping[str, Any]) -> np.ndarray:
    """Labels (or any other volume) of the brain's box (slices, rows, columns) on the case's own grid; 0 outside the box.

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
    """Writes canonical labels of the brain's box on the grid of the case's scans, in the numbers of `case.scheme`.

    The ground truth, where there is one, has no say: its header may place it elsewhere, and its file may be damaged.

    Args:
        path: .nii, .nii.gz or .mha; a NIfTI keeps the header of the first modality and names the scheme.
        labels_cropped: Labels (slices, rows, columns).
        case: The case.
        meta: The case's meta.
        options: As in `signature`, which a NIfTI header holds.
        misfits: Keys of MISFITS, behind it.

    Raises:
        UserError: The case's files cannot be read any more, or `path` has another suffix.
    """
    labels = recode(restore_labels(labels_cropped, meta), table=SCHEMES[case.scheme].from_canonical)
    like = case.images[MODALITIES[0]]
    axes = 4 if case.channels else 3
    words = ",".join(word for word in MISFITS if word in misfits)
    note = f"{signature(labels, options=options)} {words}".rstrip()
    write_labels(path, labels, like=like, axes=axes, note=note, scheme=case.scheme)


def signature(voxels: np.ndarray, *, options: str = "none") -> str:
    """What `predict` writes into `descrip` of its NIfTI headers: its name, a digest that any edit breaks, and the options.

    `options` is a word for what made the voxels: networks and options.
    """
    digest = hashlib.sha256(np.ascontiguousarray(voxels.T, dtype="<f4").data).hexdigest()
    return f"{SIGNED} {digest[:DIGITS]} {options or 'none'}"


def read_misfits(path: Path) -> list[str]:
    """The keys of MISFITS that `predict` wrote into a segmentation's header; none for a file that it did not write."""
    note = _header_text(path, field="descrip")
    if not note.startswith(SIGNED):
        return []
    return [word for word in note.split(" ")[-1].split(",") if word in MISFITS]


def read_scheme(path: Path) -> str | None:
    """The label scheme of a segmentation, a key of labels.SCHEMES: named in its header, or beside it; None if in neither.

    nnU-Net lays the dataset.json of its training set, where `export-nnunet` has named the scheme, beside its predictions.

    Raises:
        UserError: dataset.json names a scheme that is not known.
    """
    name = _header_text(path, field="intent_name")
    if name in SCHEMES:
        return name
    beside = path.parent / "dataset.json"
    try:
        named = json.loads(beside.read_text(encoding="utf-8")).get(SCHEME_KEY)
    except (OSError, ValueError, AttributeError, RecursionError):  # it may be anybody's file
        return None
    if named is not None and named not in list(SCHEMES):
        known = ", ".join(SCHEMES)
        raise UserError(f"{beside}: {SCHEME_KEY}: expected one of {known}, found {named!r:.60}; correct or remove it")
    return named


def _header_text(path: Path, *, field: str) -> str:
    import nibabel

    if not path.is_file():  # a pipe would wait for ever
        return ""
    try:
        header: Any = nibabel.load(path).header
        return str(header[field].item().decode("latin-1"))
    except Exception:  # another format, or a damaged file, of which its reader will tell
        return ""
