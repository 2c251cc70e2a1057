"""The names of a case's files in an output folder, and volumes.csv, the volume of every region in every case."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brats_cascade.data.case import Case
from brats_cascade.data.images import canonical_spacing, read_image
from brats_cascade.errors import UserError
from brats_cascade.labels import REGIONS, SCHEMES, recode, region_mask
from brats_cascade.shared import folder_locked, write_text

KINDS: Mapping[str, str] = {
    "seg": "_seg.nii.gz",
    "probabilities": "_probabilities.nii.gz",
    "uncertainty": "_uncertainty.nii.gz",
    "overlay": "_overlay.png",
    "montage": "_montage.png",
}
NAME = "volumes.csv"
COLUMNS = ("case", *(f"{region}_cm3" for region in REGIONS))
Row = Mapping[Any, Any]


def target(case: str, *, kind: str, out: Path) -> Path:
    """The path of one file of a case; `kind` is a key of KINDS."""
    return out / f"{case}{KINDS[kind]}"


def region_volumes(labels: np.ndarray, *, voxel_mm3: float, scheme: str) -> dict[str, str]:
    """The volume of each region of canonical labels for the table, cm3; "" for a region that the scheme does not define."""
    sizes = {region: np.count_nonzero(region_mask(labels, region=region)) for region in REGIONS}
    regions = SCHEMES[scheme].regions
    return {f"{name}_cm3": f"{size * voxel_mm3 / 1000:.3f}" if name in regions else "" for name, size in sizes.items()}


def read_volumes(out: Path) -> dict[str, Row]:
    """Case -> its row of the table in this folder; empty if there is none.

    Raises:
        UserError: The file is another table, or not a table.
    """
    path = out / NAME
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        return {}
    except ValueError:  # of any encoding or form
        table = pd.DataFrame()
    if tuple(table.columns) != COLUMNS or not isinstance(table.index, pd.RangeIndex):  # longer rows move the columns
        raise UserError(
            f"{path}: not a table that predict wrote (expected the columns {', '.join(COLUMNS)}); move it or choose "
            "another --out"
        )
    return {row["case"]: row for row in table.to_dict("records")}


def keep_volumes(out: Path, *, rows: Iterable[Row]) -> None:
    """Adds rows to the folder's table, sorted by case; a kill leaves the old or the new table."""
    with folder_locked(out):  # two commands may write to one folder
        table = {**read_volumes(out), **{row["case"]: row for row in rows}}
        ordered = pd.DataFrame([table[case] for case in sorted(table)], columns=COLUMNS)
        write_text(out / NAME, ordered.to_csv(index=False))


def complete_volumes(out: Path, *, finished: Iterable[Case]) -> None:
    """Adds finished cases that are missing in the table, because a kill may come between a segmentation and its row."""
    table, rows = read_volumes(out), []
    for case in finished:
        if case.name not in table:
            image = read_image(target(case.name, kind="seg", out=out))
            labels = recode(image.array, table=SCHEMES[case.scheme].to_canonical)
            voxel = math.prod(canonical_spacing(image.affine))
            rows.append({"case": case.name, **region_volumes(labels, voxel_mm3=voxel, scheme=case.scheme)})
    if rows:
        keep_volumes(out, rows=rows)
