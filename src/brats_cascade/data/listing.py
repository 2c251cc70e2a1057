"""Cases of anybody's own, listed file by file in a table: cases.csv or cases.json.

One row or object per case: `case`, `flair`, `t1`, `t1c`, `t2` and `labels` (a key of labels.SCHEMES) are needed;
`truth`, `patient` and `grade` (high, low) may be left out or empty. Paths are relative to the listing.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.case import Case
from brats_cascade.data.images import read_image
from brats_cascade.data.spreadsheet import read_rows, read_text
from brats_cascade.data.truth import in_words, schemes_with, whole_labels
from brats_cascade.errors import UserError
from brats_cascade.labels import SCHEMES

NAMES = ("cases.csv", "cases.json")
NEEDED = ("case", *MODALITIES, "labels")
KNOWN = (*NEEDED, "truth", "patient", "grade")
GRADES = ("high", "low", "unknown")


def find_listing(source: Path) -> Path | None:
    """The listing that a source is, or has at its top; None for a folder to be searched."""
    if source.is_file() and source.suffix.lower() in (".csv", ".json"):
        return source
    found = [source / name for name in NAMES if (source / name).is_file()]
    if len(found) > 1:
        raise UserError(f"{source}: holds two listings, {' and '.join(NAMES)}: keep one")
    return found[0] if found else None


def read_listing(path: Path) -> list[Case]:
    """Reads a .csv file with a header, or a .json file with a list of objects: the cases by name.

    Files that are not there are in `problems`.

    Raises:
        UserError: No such table; names the row and what is wrong with it.
    """
    rows = _rows(path)
    if not rows:
        raise UserError(f"{path}: no case found in this listing; expected one row or object per case")
    cases = [_case(row, path=path, number=number) for number, row in enumerate(rows, start=1)]
    names = [case.name for case in cases]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise UserError(f"{path}: case {double[0]!r} is listed twice: give every case a name of its own")
    return sorted(cases, key=lambda case: case.name)


def _rows(path: Path) -> Sequence[Mapping[str, Any]]:
    if path.suffix.lower() == ".csv":
        return read_rows(path, columns=KNOWN)
    try:
        rows: Any = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: the listing cannot be read ({error}); see docs/data.md for its form") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path}: expected a list with one object per case; see docs/data.md for its form")
    return rows


def _case(row: Mapping[str, Any], *, path: Path, number: int) -> Case:
    where = f"{path}: case {number}"
    values = {str(key).strip(): "" if value is None else str(value).strip() for key, value in row.items()}
    for key in values:
        if key not in KNOWN:
            near = difflib.get_close_matches(key, KNOWN, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known columns: {', '.join(KNOWN)}"
            raise UserError(f"{where}: unknown column {key!r}; {hint}")
    missing = [key for key in NEEDED if not values.get(key)]
    if missing:
        raise UserError(f"{where}: {', '.join(missing)} missing; expected {', '.join(NEEDED)}")
    name, scheme, grade = values["case"], values["labels"], values.get("grade") or "unknown"
    if Path(name).name != name or name.startswith("."):
        raise UserError(f"{where}: expected a name that a folder can have, received {name!r}")
    if scheme not in SCHEMES:
        known = ", ".join(f"{name} ({in_words(found.to_canonical)})" for name, found in SCHEMES.items())
        hint = _about_truth(path.parent / values["truth"]) if values.get("truth") else ""
        raise UserError(f"{where}: labels: expected one of {known}, received {scheme!r}{hint}")
    if grade not in GRADES:
        raise UserError(f"{where}: grade: expected one of {', '.join(GRADES)}, received {grade!r}")
    files = {part: path.parent / values[part] for part in (*MODALITIES, "truth") if values.get(part)}
    problems = tuple(
        f"{name}: {part} is missing: expected {file}, as {path.name} says; add it, or correct the listing"
        for part, file in files.items()
        if not file.is_file()
    )
    return Case(
        name=name,
        patient=values.get("patient") or name,
        grade=grade,
        release="list",
        scheme=scheme,
        folder=path.parent,
        images={modality: files[modality] for modality in MODALITIES if files[modality].is_file()},
        truth=files.get("truth"),
        problems=problems,
        files=tuple(file for file in dict.fromkeys(files.values()) if file.is_file()),
    )


def _about_truth(path: Path) -> str:
    """What a truth's numbers say about its scheme; "" for a file that cannot be read."""
    try:
        numbers = np.unique(whole_labels(read_image(path).array, path=path)).tolist()
    except UserError:
        return ""
    fitting = schemes_with(numbers)
    return f"; {path} holds {in_words(numbers)}" + (f", which fits {' or '.join(fitting)}" if fitting else "")
