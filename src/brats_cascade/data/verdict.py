"""The verdict on every case of a cohort, as data/verdict.json and as a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade.data.expectations import STYLE
from brats_cascade.data.unused import Unused, by_reason
from brats_cascade.pages import render
from brats_cascade.shared import write_text

WORDS = {"aside": "excluded", "warned": "used, with a warning", "good": "used"}


@dataclass(frozen=True)
class Verdict:
    """The verdict on every case.

    Attributes:
        accepted: Names of the cases that are used, ascending, including those with a warning.
        set_aside: (case, reason) for every excluded case, by name.
        warnings: (case, reason) for accepted cases with a warning, by name.
        volumes: Number of volumes that are "used", "set_aside" (of excluded cases) or "not_used" (of no case).
        unused: The volumes that belong to no case.
        notes: Notes on the cohort as a whole, one line each.
        traces: What looks like a person's name or a date, one line per case that has any.
    """

    accepted: tuple[str, ...]
    set_aside: tuple[tuple[str, str], ...]
    warnings: tuple[tuple[str, str], ...]
    volumes: Mapping[str, int]
    unused: tuple[Unused, ...]
    notes: tuple[str, ...]
    traces: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The content of data/verdict.json."""
        set_aside, warnings = (
            [{"case": case, "reason": reason} for case, reason in pairs] for pairs in (self.set_aside, self.warnings)
        )
        return {
            "accepted": list(self.accepted),
            "set_aside": set_aside,
            "warnings": warnings,
            "notes": [*self.notes, *self.traces],
            "volumes": dict(self.volumes),
            "not_used": [{"file": volume.path.as_posix(), "reason": volume.reason} for volume in self.unused],
        }


def cohort_numbers(cases: pd.DataFrame, *, verdict: Verdict) -> dict[str, int]:
    """The content of metrics/data.json: cases by verdict, and accepted patients, in all and by grade."""
    used = cases[cases["case"].isin(verdict.accepted)]
    grades = used.drop_duplicates("patient")["grade"]
    return {
        "found": len(cases),
        "accepted": len(verdict.accepted),
        "set_aside": len(verdict.set_aside),
        "warnings": len({case for case, _ in verdict.warnings}),
        "patients": len(grades),
        "high": int((grades == "high").sum()),
        "low": int((grades == "low").sum()),
    }


def write_entry_page(docs: Path, *, cases: pd.DataFrame, verdict: Verdict) -> None:
    """Writes index.html: every case of the per-case table with its verdict and reason, and a link to the data docs.

    If a case has an id instead of its original name, the page shows both.
    """
    aside, warned = dict(verdict.set_aside), dict(verdict.warnings)
    kinds = ["aside" if case in aside else "warned" if case in warned else "good" for case in cases["case"]]
    table = cases[["case", "grade", "release"]].assign(kind=kinds)
    table["reason"] = [{**warned, **aside}.get(case, "") for case in cases["case"]]
    rows = sorted(table.to_dict("records"), key=lambda row: (list(WORDS).index(row["kind"]), row["case"]))
    pages = [("all rules, with results", page) for page in sorted(docs.rglob("validations/**/*.html"))]
    pages += [("the list of rules", page) for page in sorted(docs.rglob("expectations/*.html"))]
    page = render(
        "check.html.j2",
        package="brats_cascade.data",
        style=STYLE,
        rows=rows,
        called=cases.attrs.get("names", {}),
        words=WORDS,
        used=len(verdict.accepted),
        notes=(*verdict.notes, *verdict.traces),
        pages=[(name, page.relative_to(docs).as_posix()) for name, page in pages],
        unused=by_reason(verdict.unused),
        unused_count=len(verdict.unused),
    )
    write_text(docs / "index.html", page)
