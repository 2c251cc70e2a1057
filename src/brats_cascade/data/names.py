"""Names of cases from outside, made safe once, where cases are found.

A case's name becomes the name of a folder, of files and of MLflow's metrics, a cell of CSV files and a part of pages. Names
that are fit for all of these stay as they are; any other is replaced by an id, and the per-case table keeps the original.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from brats_cascade.data.case import Case
from brats_cascade.errors import printable

if TYPE_CHECKING:
    import pandas as pd

ATTRIBUTE = "names"  # of the per-case table; Parquet keeps it
PRIVATE = "originals"  # likewise, of cases that go by pseudonyms
LONGEST = 160  # bytes; a file's name may have 255, and what is put before and behind a case's name needs up to 60
DIGITS = 12  # of the digest in an id
_STEM = 30  # characters of the original that an id shows at most

# Letters and digits of any script; inside also spaces, dots and dashes. Others mean something to a shell, to HTML or to a
# spreadsheet, or are refused by MLflow.
_SAFE = re.compile(r"\w([\w. -]*[\w-])?")
_NOT_A_VALUE = {"NA", "NULL", "NaN", "None", "nan", "null"}  # pandas reads these from a CSV file as a missing value


def safe_id(name: str) -> str:
    """The name itself where it is safe, otherwise an id made of it: always the same one, and one per name."""
    composed = unicodedata.normalize("NFC", name)
    fits = len(composed.encode("utf-8", "replace")) <= LONGEST
    if fits and _SAFE.fullmatch(composed) and composed not in _NOT_A_VALUE:
        return composed
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
    stem = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")[:_STEM]
    return f"{stem or 'case'}-{digest}"


def note_names(table: "pd.DataFrame", *, cases: Iterable[Case], attribute: str = ATTRIBUTE) -> None:
    """Puts the original names of cases that go by an id into the attributes of the per-case table.

    Pages show those under ATTRIBUTE; those under PRIVATE stay in the table.
    """
    called = {case.name: printable(case.called) for case in cases if case.called}
    if called:
        table.attrs[attribute] = called


def noted_names(table: "pd.DataFrame") -> Mapping[str, str]:
    """Id -> original name, as `note_names` put them there."""
    return dict(table.attrs.get(ATTRIBUTE, {}))
