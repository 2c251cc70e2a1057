"""Reads a table the way spreadsheets save it: commas, semicolons or tabs, a `sep=` line, UTF-8 or UTF-16, empty rows."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from brats_cascade.errors import UserError

_SEPARATORS = (",", ";", "\t")
_BOM_16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Path) -> str:
    """Reads a text file whose encoding is told by its first bytes: UTF-8 or UTF-16, with or without a mark.

    Raises:
        UserError: It cannot be read, or is in another encoding.
    """
    try:
        data = path.read_bytes()
        if data.startswith(_BOM_16):
            return data.decode("utf-16")
        if b"\0" in data[:2]:
            return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: the listing cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        where = f"byte {error.start} is neither UTF-8 nor UTF-16"
        raise UserError(f"{path}: the listing cannot be read ({where}); save it as CSV UTF-8") from None


def read_rows(path: Path, *, columns: Iterable[str]) -> list[dict[str, str]]:
    """Reads a table with a header.

    The separator is the one that finds most of `columns`, the names that the header may have. Empty rows are left out, and
    so are columns without a name and without a value.

    Raises:
        UserError: No such table; names the line and what to do.
    """
    lines = read_text(path).splitlines()
    separators: tuple[str, ...] = _SEPARATORS
    skipped = 0
    if lines and lines[0].strip('"').lower().startswith("sep=") and len(lines[0].strip('"')) == 5:
        separators, skipped = (lines[0].strip('"')[4],), 1
    known = set(columns)

    def names_found(separator: str) -> int:
        return len(known & {name.strip(' "') for name in "".join(lines[skipped : skipped + 1]).split(separator)})

    separator = max(separators, key=names_found)
    try:
        text = io.StringIO("\n".join(lines[skipped:]))
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
                f"{path}: case {len(found) + 1}: expected {width} values as the header has, received {len(row)}: separate "
                f"all of them by {separator!r}, and put one with {separator!r} in it between quotation marks"
            )
        found.append({name: value for name, value in zip(header, row, strict=False) if name})
    return found
