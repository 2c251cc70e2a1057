"""volumes.csv: the volume of every region in every segmented case of an output folder."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.data.case import Case
from brats_cascade.errors import UserError
from brats_cascade.inference.finished import target
from brats_cascade.labels import REGIONS, SCHEMES, recode, region_mask
from brats_cascade.shared import written_whole

NAME = "volumes.csv"
COLUMNS = ("case", *(f"{region}_cm3" for region in REGIONS))
Row = Mapping[str, Any]


def region_volumes(labels: np.ndarray, *, voxel_mm3: float, scheme: str) -> dict[str, str]:
    """Volume of each region of canonical labels as it stands in the table, cm3; "" for one that the scheme does not tell."""
    sizes = {region: np.count_nonzero(region_mask(labels, region=region)) for region in REGIONS}
    regions = SCHEMES[scheme].regions
    return {f"{name}_cm3": f"{size * voxel_mm3 / 1000:.3f}" if name in regions else "" for name, size in sizes.items()}


def read_volumes(out: Path) -> dict[str, Row]:
    """Case -> its row of the table in this folder; empty where there is none.

    Raises:
        UserError: The file is another table, or cannot be read.
    """
    path = out / NAME
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            if tuple(table.fieldnames or ()) != COLUMNS:
                raise UserError(
                    f"{path}: not a table that predict wrote (expected the columns {', '.join(COLUMNS)}); move it or choose "
                    "another --out"
                )
            return {row["case"]: row for row in table}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); move it or choose another --out") from None


def keep_volumes(out: Path, *, rows: Iterable[Row]) -> None:
    """Puts rows into the folder's table, sorted by case; a kill leaves the old table or the new one.

    Raises:
        UserError: The folder cannot be written to.
    """
    table = {**read_volumes(out), **{row["case"]: row for row in rows}}
    try:
        with written_whole(out / NAME) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(table[case] for case in sorted(table))
    except OSError as error:
        raise UserError(
            f"{out / NAME}: cannot be written ({error.strerror or error}); free some space or choose another folder, then "
            "run the same command again; finished cases are kept"
        ) from None


def complete_volumes(out: Path, *, finished: Iterable[Case]) -> None:
    """Adds finished cases that the folder's table lacks: a kill may fall between a segmentation and its row."""
    import nibabel

    table, rows = read_volumes(out), []
    for case in finished:
        if case.name not in table:
            image: Any = nibabel.load(target(case.name, kind="seg", out=out))
            labels = recode(np.asarray(image.dataobj), table=SCHEMES[case.scheme].to_canonical)
            voxel = abs(float(np.linalg.det(image.affine[:3, :3])))
            rows.append({"case": case.name, **region_volumes(labels, voxel_mm3=voxel, scheme=case.scheme)})
    if rows:
        keep_volumes(out, rows=rows)
