"""Answers the requests to a served model: segments a row with `case` or `image`."""

import base64
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.data.case import Case
from brats_cascade.data.cases import find_cases
from brats_cascade.data.listing import find_listing
from brats_cascade.errors import UserError
from brats_cascade.inference.arrays import segment_array
from brats_cascade.inference.chosen import Chosen
from brats_cascade.inference.output import write_prediction
from brats_cascade.inference.postprocess import OFF
from brats_cascade.inference.predict import predict_case
from brats_cascade.inference.segment import Member

ROOT = "BRATS_CASCADE_CASES"  # environment variable: the folder of the cases that requests may name; without it, none
LARGEST = 512  # limit for an image's voxels along each axis
MOST_ENTRIES = 500  # limit for the entries in the folder of one case


def answer_row(
    row: Mapping[str, Any], *, number: int, members: Sequence[Member], chosen: Chosen | None, root: Path | None
) -> dict[str, Any]:
    """Segments the case or image of one row, the `number`th of its request, as the model was evaluated.

    A row has `case`, the folder of one case below `root`; or `image`, nested lists (slices, rows, columns, 4), for which
    the first network is used. Only cases below `root` may be read; None means no case.

    Returns:
        `case`, `segmentation` (a base64-encoded .nii.gz file, "" for an image) and `labels` (for an image, otherwise None).

    Raises:
        UserError: The row has neither, its folder is not allowed or does not hold exactly one case, or its image is invalid.
    """
    options = chosen or Chosen(OFF, flips=False)
    case, image = row.get("case"), row.get("image")
    if isinstance(case, str) and case:
        return _case(case, members=members, chosen=options, root=root)
    if isinstance(image, list | np.ndarray):
        return _image(image, name=f"row {number}", member=members[0], chosen=options) | {"case": f"image {number}"}
    raise UserError(f"row {number}: expected case (a folder's name) or image (nested lists), received neither")


def _case(name: str, *, members: Sequence[Member], chosen: Chosen, root: Path | None) -> dict[str, Any]:
    if root is None:
        raise UserError("case: this server reads no files: send the row with image, or start it with a folder of cases")
    case = _find(name, root=root.resolve())
    try:
        prediction = predict_case(case, members=members, thresholds=chosen.thresholds, flips=chosen.flips)
    except UserError as error:
        raise UserError(str(error).replace(f"{root.resolve()}/", "")) from None
    with tempfile.TemporaryDirectory(prefix="brats-cascade-") as out:
        data = write_prediction(prediction, case=case, out=Path(out)).read_bytes()
    return {"case": case.name, "segmentation": base64.b64encode(data).decode(), "labels": None}


def _find(name: str, *, root: Path) -> Case:
    """The single case of a folder; the error is always the same, so that it reveals nothing about other files."""
    try:
        folder = (root / name).resolve()
        if folder.is_relative_to(root) and _is_one(folder) and find_listing(folder) is None:
            cases = find_cases(folder)
            # Files, no pipes or devices; links count for what they lead to.
            if len(cases) == 1 and all(
                path.is_file() and path.resolve().is_relative_to(root) for path in cases[0].files
            ):
                return cases[0]
    except (OSError, ValueError, RuntimeError, UserError):  # an impossible name, or a folder without a case
        pass
    raise UserError(f"case {name}: expected the folder of one case, without links, below the server's folder of cases")


def _is_one(folder: Path) -> bool:
    """Whether a folder can be that of one case: few entries, and no link to a folder, which a search would follow."""
    count = 0
    for place, folders, files in os.walk(folder):
        count += len(folders) + len(files)
        if count > MOST_ENTRIES or any(os.path.islink(f"{place}/{name}") for name in folders):  # noqa: PTH114
            return False
    return count > 0


def _image(image: Any, *, name: str, member: Member, chosen: Chosen) -> dict[str, Any]:
    try:
        voxels = np.asarray(image, dtype=np.float32)
    except (ValueError, TypeError):
        raise UserError(f"{name}: image: expected nested lists of numbers, of equal lengths") from None
    if max(voxels.shape, default=0) > LARGEST:
        raise UserError(f"{name}: image: expected at most {LARGEST} voxels along an axis, received {voxels.shape}")
    labels = segment_array(voxels, member=member, thresholds=chosen.thresholds, flips=chosen.flips, name=name)
    return {"segmentation": "", "labels": labels.tolist()}
