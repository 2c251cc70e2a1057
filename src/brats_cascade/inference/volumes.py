"""volumes.csv: the volume of every region in every segmented case of an output folder."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.data.case import Case
from brats_cascade.errors import UserError
from brats_cascade.inference.kinds import target
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


def volumes_of_file(path: Path, *, case: Case) -> dict[str, str]:
    """The row of a segmentation that `predict` wrote for this case."""
    import nibabel

    image: Any = nibabel.load(path)
    labels = recode(np.asarray(image.dataobj), table=SCHEMES[case.scheme].to_canonical)
    voxel = abs(float(np.linalg.det(image.affine[:3, :3])))
    return {"case": case.name, **region_volumes(labels, voxel_mm3=voxel, scheme=case.scheme)}


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
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(_sorted(table))
    try:
        with written_whole(out / NAME) as draft:
            draft.write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{out / NAME}: cannot be written ({error.strerror or error}); free some space or choose another folder, then "
            "run the same command again: finished cases are kept"
        ) from None


def complete_volumes(out: Path, *, finished: Iterable[Case]) -> None:
    """Adds finished cases that the folder's table lacks: a kill may fall between a segmentation and its row.

    Raises:
        UserError: As `read_volumes` and `keep_volumes`.
    """
    table = read_volumes(out)
    absent = [case for case in finished if case.name not in table]
    if absent:
        keep_volumes(out, rows=[volumes_of_file(target(case.name, kind="seg", out=out), case=case) for case in absent])


def _sorted(table: Mapping[str, Row]) -> Sequence[Row]:
    return [table[case] for case in sorted(table)]
