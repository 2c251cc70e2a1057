"""Names of cases from outside, made safe once, where cases are found.

A case's name becomes the name of a folder, of files and of MLflow's metrics, a cell of CSV files and a part of pages. Names
that are fit for all of these stay as they are; any other is replaced by an id, and the per-case table keeps the original.
"""

import hashlib
import re
import unicodedata

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
