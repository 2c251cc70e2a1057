"""Finds what looks like a person's name or a date in the headers and file names of a case.

It helps to notice scans that were not de-identified, but proves nothing. No value is repeated in full.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from brats_cascade.data._file import ImageError
from brats_cascade.data._nifti import AFNI
from brats_cascade.data.case import Case
from brats_cascade.data.images import header_texts
from brats_cascade.errors import printable

MOST = 3  # findings listed per case

_WORDS = Path(__file__).parent / "words"
# Common given names without another meaning in a header or a path (unlike "mark", "max" and "will").
_GIVEN = frozenset((_WORDS / "given_names.txt").read_text(encoding="utf-8").split())
# Words common in scans, folders and programs. In a path, two capitalised words that are not among these look like a name.
_PLAIN = frozenset((_WORDS / "of_scans.txt").read_text(encoding="utf-8").split())
# Time stamps, versions and digests of programs, and BraTS ids, which look similar but identify no patient.
_NOT_MEANT = re.compile(
    r"\[?\S+@\S+: |(mon|tue|wed|thu|fri|sat|sun)\w* \w{3} +\d+ \d\d:\d\d:\d\d \d{4}|free ?surfer\S* \w{3} +\d+ \d{4}"
    r"|v?\d+\.\d+\.\d{8}|brats-cascade predict \S+ \S+|brats\d*_(2013|cbica|tcia\d*|tmc|uab)_\w+",
    re.IGNORECASE,
)
_YEAR, _MONTH, _DAY = r"(19[2-9]\d|20[0-4]\d)", r"(0[1-9]|1[0-2])", r"(0[1-9]|[12]\d|3[01])"
_MONTHS = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATE = re.compile(
    rf"(?<![0-9a-z])({_YEAR}([-./_]?){_MONTH}\3{_DAY}|{_DAY}([-./_]){_MONTH}\7{_YEAR}|{_MONTH}([-./_]){_DAY}\11{_YEAR}"
    rf"|\d\d?[ ._-]?{_MONTHS}[ ,._-]*{_YEAR}|{_MONTHS}[ ._-]*\d\d?[ ,._-]+{_YEAR})(?![0-9a-su-z])",  # a time may follow: T10:00
    re.IGNORECASE,
)
_NOBODY = r"(?!anon|none|null|unknown|removed|deidentified|n/?a\b|x+\b|[0.: ]+$)"
_LABELLED = re.compile(
    r"(patient'?s?|subject'?s?|physician'?s?|operators?'?)[ _]?(name|id)\b[\"']?\s?[=:>]\s?[\"']?"
    + _NOBODY
    + r"(\w[^;,\n<\"]*)",
    re.IGNORECASE,
)
_OF_DICOM = re.compile(r"\b[A-Za-z][A-Za-z' -]{2,}\^[A-Za-z]{2,}")  # Surname^Given
_TITLED = re.compile(r"\b(Mrs?|Ms|Dr|Prof|Herr|Frau|Mme)[. _]+[A-Z][a-z]{2,}\b")
_WORD = re.compile(r"[^\W\d_]+")


def find_traces(text: str, *, of_path: bool = False) -> list[tuple[str, str]]:
    """What looks like a person's name or a date in a text, as (kind, value): ("a date", "19850412").

    In the name of a file or folder (`of_path`), given names count in any case, and so do any two capitalised words.
    """
    text = _NOT_MEANT.sub(" ", text)
    found = [("a date", match[0]) for match in _DATE.finditer(text)]
    for pattern, group in ((_LABELLED, 3), (_OF_DICOM, 0), (_TITLED, 0)):
        found += [("a person's name or id", match[group]) for match in pattern.finditer(text)]
    return found + [("a person's name", pair) for pair in _pairs(text, of_path=of_path)]


def _pairs(text: str, *, of_path: bool) -> Iterator[str]:
    """Two adjacent words, one of them a given name; in a path also two capitalised words without another meaning."""
    for piece in re.split(r"[^\w ,.'-]|\d", text):
        words = [word for word in _WORD.findall(piece) if len(word) > 2]
        for first, second in pairwise(words):
            lower = {first.lower(), second.lower()}
            plain = lower & _PLAIN or (not of_path and (first + second).islower())
            capitalised = of_path and all(word[0].isupper() and word[1:].islower() for word in (first, second))
            if not plain and (lower & _GIVEN or capitalised):
                yield f"{first} {second}"


def traces_of(case: Case) -> str:
    """The findings of a case on one line, showing only the first letter of each value; "" if there are none.

    A file that cannot be read is skipped; reading it as a scan reports the reason.
    """
    places = [("the name of a folder", name) for name in case.above]
    places += [("the case's name", case.called or case.name), ("the patient's name", case.patient)]
    places += [("the name of a file", path.name) for path in case.files]
    found = [(place, *trace) for place, text in places for trace in find_traces(text, of_path=True)]
    for part, path in {**case.images, "truth": case.truth}.items():
        if path is not None:
            found += [
                (f"{field} of {part}", *trace) for field, text in _texts(path) for trace in _in_header(field, text)
            ]
    first = {value: (place, kind) for place, kind, value in reversed(found)}  # place and kind of the first occurrence
    lines = [f"{place} looks like {kind} ({shortened(value)})" for value, (place, kind) in reversed(first.items())]
    more = f"; and {len(lines) - MOST} more" if len(lines) > MOST else ""
    return "; ".join(lines[:MOST]) + more


def discreet(name: str) -> str:
    """A case's name for a log, shortened if it may be a person's name."""
    return shortened(name) if find_traces(name, of_path=True) else name


def shortened(value: str) -> str:
    """The first letter and the length of a value."""
    value = printable(value.strip())
    return f"{value[:1]}..., {len(value)} characters"


def _in_header(field: str, text: str) -> list[tuple[str, str]]:
    """The findings in a header field. Dates in AFNI's history are ignored, being processing dates or parts of BraTS names."""
    return [trace for trace in find_traces(text) if field != AFNI or trace[0] != "a date"]


def _texts(path: Path) -> Iterable[tuple[str, str]]:
    try:
        return header_texts(path).items()
    except ImageError:
        return ()
