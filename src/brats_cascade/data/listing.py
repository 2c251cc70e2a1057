"""Reads listings: tables that name the files of each case, cases.csv or cases.json.

There is one row or object per case. `case`, `flair`, `t1`, `t1c`, `t2` and `labels` (a key of labels.SCHEMES) are
required; `truth`, `patient` and `grade` (high, low) may be missing or empty; the patient is then taken from the case's name.
Paths are relative to the listing.
"""

import csv
import difflib
import io
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data._file import read_file
from brats_cascade.data.case import Case
from brats_cascade.data.images import read_image
from brats_cascade.data.names import safe_id
from brats_cascade.data.releases import patient_named
from brats_cascade.data.truth import in_words, schemes_with, whole_labels
from brats_cascade.errors import UserError
from brats_cascade.labels import SCHEMES

MAX_BYTES = 2**27  # size limit of a listing: about 400,000 cases
_SEPARATORS = (",", ";", "\t")
_BOM_16 = (b"\xff\xfe", b"\xfe\xff")
NAMES = ("cases.csv", "cases.json")
NEEDED = ("case", *MODALITIES, "labels")
KNOWN = (*NEEDED, "truth", "patient", "grade")
GRADES = ("high", "low", "unknown")


def _read_text(path: Path) -> str:
    """Reads a text file in UTF-8 or UTF-16, detected from its first bytes, with or without a byte order mark."""
    try:
        data = read_file(path, most=MAX_BYTES)
        if data.startswith(_BOM_16):
            return data.decode("utf-16")
        if b"\0" in data[:2]:
            return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"byte {error.start} is neither UTF-8 nor UTF-16"
        raise UserError(f"{path}: the listing cannot be read ({where}); save it as CSV UTF-8") from None


def _read_csv(path: Path) -> list[dict[str, str]]:
    """Reads a CSV file with a header.

    The separator is the one that yields the most known column names. Empty rows, and columns without a name and values, are
    dropped.
    """
    lines = _read_text(path).splitlines()
    named = re.fullmatch('"?sep=([^"])"?', lines[0], re.IGNORECASE) if lines else None
    lines = lines[1:] if named else lines

    def names_found(separator: str) -> int:
        return len({*KNOWN} & {name.strip(' "') for name in "".join(lines[:1]).split(separator)})

    separator = named[1] if named else max(_SEPARATORS, key=names_found)
    try:
        text = io.StringIO("\n".join(lines))
        table = [[value.strip() for value in row] for row in csv.reader(text, delimiter=separator, strict=True)]
    except csv.Error as error:
        raise UserError(f"{path}: the listing cannot be read ({error}); see docs/data.md for its form") from None
    header, rows = (table[0], table[1:]) if table else ([], [])
    width = max((place for place, name in enumerate(header, start=1) if name), default=0)
    twice = next((name for name in header if name and header.count(name) > 1), "")
    if twice:
        raise UserError(f"{path}: the column {twice!r} is there twice: remove one")
    found: list[dict[str, str]] = []
    for row in rows:
        if not any(row):
            continue
        if (
            len(row) < width
            or any(row[width:])
            or any(value and not name for name, value in zip(header, row, strict=False))
        ):
            raise UserError(
                f"{path}: case {len(found) + 1}: expected {width} values as in the header, received {len(row)}: separate "
                f"values by {separator!r}, and put a value that contains {separator!r} in quotation marks"
            )
        found.append({name: value for name, value in zip(header, row, strict=False) if name})
    return found


def find_listing(source: Path) -> Path | None:
    """The listing that a source is or has at its top, or None if the folder is to be searched."""
    if source.is_file() and source.suffix.lower() in (".csv", ".json"):
        return source
    found = [source / name for name in NAMES if (source / name).is_file()]
    if len(found) > 1:
        raise UserError(f"{source}: holds two listings, {' and '.join(NAMES)}: keep one")
    return found[0] if found else None


def read_listing(path: Path) -> list[Case]:
    """Reads a .csv file with a header, or a .json file with a list of objects; returns the cases by name.

    Missing files are reported in the `problems` of the case.

    Raises:
        UserError: The table does not exist or is invalid; the message names the row.
    """
    rows = _rows(path)
    if not rows:
        raise UserError(f"{path}: no case found in this listing; expected one row or object per case")
    cases = [_case(row, path=path, number=number) for number, row in enumerate(rows, start=1)]
    counts = Counter(case.name for case in cases)
    double = sorted(name for name, count in counts.items() if count > 1)
    if double:
        raise UserError(f"{path}: case {double[0]!r} is listed twice: give every case a name of its own")
    return sorted(cases, key=lambda case: case.name)


def _rows(path: Path) -> Sequence[Mapping[str, Any]]:
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    try:
        rows: Any = json.loads(_read_text(path))
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
    called, scheme, grade = values["case"], values["labels"], values.get("grade") or "unknown"
    if Path(called).name != called or called.startswith("."):
        raise UserError(f"{where}: expected a name that a folder can have, received {called!r}")
    if scheme not in SCHEMES:
        known = ", ".join(f"{name} ({in_words(found.to_canonical)})" for name, found in SCHEMES.items())
        hint = _about_truth(path.parent / values["truth"]) if values.get("truth") else ""
        raise UserError(f"{where}: labels: expected one of {known}, received {scheme!r}{hint}")
    if grade not in GRADES:
        raise UserError(f"{where}: grade: expected one of {', '.join(GRADES)}, received {grade!r}")
    files = {part: path.parent / values[part] for part in (*MODALITIES, "truth") if values.get(part)}
    there = {part: file for part, file in files.items() if os.path.isfile(file)}  # noqa: PTH113 - also too long a name
    name = safe_id(called)
    problems = tuple(
        f"{name}: {part} is missing: expected {file}, as {path.name} says; add it, or correct the listing"
        for part, file in files.items()
        if part not in there
    )
    return Case(
        name=name,
        patient=safe_id(values.get("patient") or patient_named(called)),
        grade=grade,
        release="list",
        scheme=scheme,
        folder=path.parent,
        images={modality: there[modality] for modality in MODALITIES if modality in there},
        truth=files.get("truth"),
        problems=problems,
        called="" if name == called else called,
        files=tuple(dict.fromkeys(there.values())),
    )


def _about_truth(path: Path) -> str:
    """A hint on the schemes that the label values of a ground truth fit; "" if the file cannot be read."""
    try:
        numbers = np.unique(whole_labels(read_image(path).array, path=path)).tolist()
    except UserError:
        return ""
    fitting = schemes_with(numbers)
    return f"; {path} holds {in_words(numbers)}" + (f", which fits {' or '.join(fitting)}" if fitting else "")
