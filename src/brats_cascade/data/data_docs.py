"""Pages about the data that need no network: Great Expectations' data docs made self-contained, and an entry page."""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from brats_cascade.data.unused import Unused, by_reason
from brats_cascade.pages import render
from brats_cascade.shared import write_text

# What a page fetches; links that a reader may follow stay. Great Expectations' scripts need jQuery and Vega from other
# hosts, its style sheets Bootstrap.
_FETCHED = re.compile(
    r"<script\b.*?</script\s*>|<footer\b.*?</footer\s*>|<link\b[^>]*>|<img\b[^>]*>", flags=re.DOTALL | re.IGNORECASE
)
_FETCHED_BY_STYLE = re.compile(r"url\(\s*[\"']?(?:https?:)?//[^)]*\)|@import[^;]*//[^;]*;", flags=re.IGNORECASE)
# What tells one run from another with the same result: a random id in the names of anchors, and times.
_OF_ONE_RUN = re.compile(
    r"(?<=-collapse-body)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b\d{8}T\d{6}\.\d{6}Z"
    r"|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?: ?UTC|[+-]\d\d:?\d\d|Z)?"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # no script runs, whatever a page holds
_HOME = '<!DOCTYPE html><meta charset=utf-8><meta http-equiv=refresh content="0;url={0}"><a href="{0}">Data check</a>\n'
_STYLE = (Path(__file__).parent / "templates" / "check.css").read_text(encoding="utf-8")
WORDS = {"aside": "set aside", "warned": "used, with a warning", "good": "used"}


def make_offline(site: Path, *, home: str) -> None:
    """Rewrites the pages of a data docs site so that opening one fetches nothing, and a second run writes the same.

    The site's own index.html lists its pages by a script, so it would be empty: it becomes a step to `home`, a path
    relative to it.
    """
    policy = f'<meta http-equiv=Content-Security-Policy content="{_POLICY}">'
    shutil.rmtree(site / "static", ignore_errors=True)
    for page in sorted(site.rglob("*.html")):
        text = _FETCHED_BY_STYLE.sub("none", _FETCHED.sub("", page.read_text(encoding="utf-8")))
        text = _OF_ONE_RUN.sub("", text)
        write_text(page, text.replace("</head>", f"{policy}<style>{_STYLE}</style></head>", 1))
    write_text(site / "index.html", _HOME.format(home))


def write_entry_page(
    docs: Path,
    *,
    facts: pd.DataFrame,
    set_aside: Sequence[tuple[str, str]],
    warnings: Sequence[tuple[str, str]],
    notes: Sequence[str] = (),
    unused: Sequence[Unused] = (),
    called: Mapping[str, str] | None = None,
) -> None:
    """Writes index.html: every case, what became of it and why, and the way to Great Expectations' own pages below it.

    Args:
        docs: Folder of the page.
        facts: One row per case with the columns case, grade and release.
        set_aside: (case, reason) of the cases not used.
        warnings: (case, reason) of the cases used with a warning.
        notes: Lines about the cohort as a whole.
        unused: The volumes that belong to no case.
        called: Case -> what its files call it, where that is something else.
    """
    aside, warned = dict(set_aside), dict(warnings)
    kinds = ["aside" if case in aside else "warned" if case in warned else "good" for case in facts["case"]]
    table = facts[["case", "grade", "release"]].assign(kind=kinds)
    table["reason"] = [{**warned, **aside}.get(case, "") for case in facts["case"]]
    rows = sorted(table.to_dict("records"), key=lambda row: list(WORDS).index(row["kind"]))
    pages = [("all rules, with results", page) for page in sorted(docs.rglob("validations/**/*.html"))]
    pages += [("the list of rules", page) for page in sorted(docs.rglob("expectations/*.html"))]
    page = render(
        "check.html.j2",
        package="brats_cascade.data",
        style=_STYLE,
        rows=rows,
        called=called or {},
        words=WORDS,
        used=len(rows) - kinds.count("aside"),
        notes=notes,
        pages=[(name, page.relative_to(docs).as_posix()) for name, page in pages],
        unused=by_reason(unused),
        unused_count=len(unused),
    )
    write_text(docs / "index.html", page)
