"""volumes.csv: the volume of every region in every segmented case of an output folder."""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.data.case import Case
from brats_cascade.errors import UserError
from brats_cascade.labels import REGIONS, SCHEMES, recode, region_mask

NAME = "volumes.csv"
COLUMNS = ("case", *(f"{region}_cm3" for region in REGIONS))

Row = Mapping[str, Any]


def region_volumes(labels: np.ndarray, *, voxel_mm3: float) -> dict[str, str]:
    """Volume of each region.

    Args:
        labels: Canonical labels, any shape.
        voxel_mm3: Volume of one voxel, mm3.

    Returns:
        "complete_cm3", "core_cm3", "enhancing_cm3" -> cm3 with three decimals, as they stand in the table.
    """
    sizes = {region: np.count_nonzero(region_mask(labels, region=region)) for region in REGIONS}
    return {f"{region}_cm3": f"{size * voxel_mm3 / 1000:.3f}" for region, size in sizes.items()}


def volumes_of_file(path: Path, *, case: Case) -> dict[str, str]:
    """The row of a segmentation that `predict` wrote for this case; "" for a region that its numbers do not tell."""
    import nibabel

    image: Any = nibabel.load(path)
    labels = recode(np.asarray(image.dataobj), table=SCHEMES[case.scheme].to_canonical)
    volumes = region_volumes(labels, voxel_mm3=abs(float(np.linalg.det(image.affine[:3, :3]))))
    told = SCHEMES[case.scheme].regions
    return {"case": case.name, **volumes, **{f"{region}_cm3": "" for region in REGIONS if region not in told}}


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

    Args:
        out: The folder.
        rows: With the keys COLUMNS; a case that is there already is replaced.

    Raises:
        OSError: The folder cannot be written to.
    """
    table = {**read_volumes(out), **{row["case"]: row for row in rows}}
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(_sorted(table))
    draft = out / f".{os.getpid()}_{NAME}"
    try:
        draft.write_text(text.getvalue(), encoding="utf-8")
        draft.replace(out / NAME)
    finally:
        draft.unlink(missing_ok=True)


def _sorted(table: Mapping[str, Row]) -> Sequence[Row]:
    return [table[case] for case in sorted(table)]
