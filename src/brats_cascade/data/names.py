"""Replaces unsafe case names by ids, once, when the cases are found.

A case's name is used in folder and file names, MLflow metrics, CSV cells and HTML pages. A name that is safe for all of
these is kept. Any other is replaced by an id, and the per-case table records the original.
"""

import hashlib
import re
import unicodedata

LONGEST = 160  # bytes; file names may have 255, of which prefixes and suffixes take up to 60
DIGITS = 12  # characters of the digest in an id
_STEM = 30  # most characters of the original name in an id

# Letters and digits of any script; inside the name also spaces, dots and dashes. Other characters have a meaning in a
# shell, in HTML or in a spreadsheet, or are refused by MLflow.
_SAFE = re.compile(r"\w([\w. -]*[\w-])?")
_NOT_A_VALUE = {"NA", "NULL", "NaN", "None", "nan", "null"}  # pandas reads these as missing values from a CSV file


def safe_id(name: str) -> str:
    """Returns a safe name unchanged, and for any other name an id that depends on the name alone and is unique to it."""
    composed = unicodedata.normalize("NFC", name)
    fits = len(composed.encode("utf-8", "replace")) <= LONGEST
    if fits and _SAFE.fullmatch(composed) and composed not in _NOT_A_VALUE:
        return composed
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
    stem = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")[:_STEM]
    return f"{stem or 'case'}-{digest}"
