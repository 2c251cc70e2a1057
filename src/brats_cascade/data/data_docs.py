"""Pages about the data that need no network: Great Expectations' data docs made self-contained, and an entry page."""

import html
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from brats_cascade.data.unused import Unused, by_reason

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
_HOME = '<!DOCTYPE html><meta charset=utf-8><meta http-equiv=refresh content="0;url={0}"><a href="{0}">Data check</a>\n'

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1c2733;background:#fff;margin:0 auto;max-width:72rem;padding:1rem}
h1{font-size:1.5rem} h4,h5,h6{margin:.4rem 0} a{color:#0b5cad}
table{border-collapse:collapse;margin:.4rem 0} td,th{border:1px solid #d5dce3;padding:.25rem .6rem;text-align:left;
vertical-align:top} thead[hidden]{display:none} .alert{background:#eef2f6;padding:.5rem .8rem;border-radius:.3rem}
.badge{background:#e4eaf0;border-radius:.25rem;padding:0 .3rem} .text-danger,.aside{color:#b3261e}
.text-success,.good{color:#1b7a3d} .text-warning,.warned{color:#9a6700} .breadcrumb{list-style:none;display:flex;
gap:.8rem;padding:0} .show-scrollbars>span{display:block}
button,.sticky,.modal,.btn-group,.carousel,footer,[id$=walkthrough-modal]{display:none}
.fa-times::before{content:"failed"} .fa-check-circle::before{content:"met"}
.fa-exclamation-triangle::before,.fa-exclamation::before{content:"warning"}
i.fas{font-style:normal;font-weight:600} .tab-pane{display:block}
"""


def make_offline(site: Path, *, home: str) -> None:
    """Rewrites the pages of a data docs site so that opening one fetches nothing, and leads its way home elsewhere.

    Times and random ids are taken out, so that a second run writes the same pages.

    The site's own index.html lists its pages by a script, so it would be empty: it becomes a step to `home`.

    Args:
        site: The site's folder, changed in place.
        home: Where its index.html leads, relative to it.
    """
    shutil.rmtree(site / "static", ignore_errors=True)
    for page in sorted(site.rglob("*.html")):
        text = _FETCHED_BY_STYLE.sub("none", _FETCHED.sub("", page.read_text(encoding="utf-8")))
        text = _OF_ONE_RUN.sub("", text)
        page.write_text(text.replace("</head>", f"<style>{_STYLE}</style></head>", 1), encoding="utf-8")
    (site / "index.html").write_text(_HOME.format(home), encoding="utf-8")


def write_entry_page(
    docs: Path,
    *,
    facts: pd.DataFrame,
    set_aside: Sequence[tuple[str, str]],
    warnings: Sequence[tuple[str, str]],
    notes: Sequence[str] = (),
    unused: Sequence[Unused] = (),
) -> None:
    """Writes index.html: every case, what became of it and why, and the way to Great Expectations' own pages.

    Args:
        docs: Folder of the page; the data docs lie below it.
        facts: One row per case with the columns case, grade, release and folder.
        set_aside: (case, reason) of the cases not used.
        warnings: (case, reason) of the cases used with a warning.
        notes: Lines about the cohort as a whole.
        unused: The volumes that belong to no case.
    """
    aside, warned = dict(set_aside), dict(warnings)
    rows = []
    for case, grade, release in facts[["case", "grade", "release"]].itertuples(index=False):
        if case in aside:
            kind, word, reason = "aside", "set aside", aside[case]
        elif case in warned:
            kind, word, reason = "warned", "used, with a warning", warned[case]
        else:
            kind, word, reason = "good", "used", ""
        cells = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in (case, grade, release))
        rows.append((kind, f"<tr>{cells}<td class={kind}>{word}</td><td>{html.escape(reason)}</td></tr>"))
    rows.sort(key=lambda row: ("aside", "warned", "good").index(row[0]))
    used = len(facts) - sum(kind == "aside" for kind, _ in rows)
    links = "".join(
        f'<li><a href="{quote(page.relative_to(docs).as_posix())}">{name}</a></li>' for name, page in _pages(docs)
    )
    page = (
        "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>Data check</title>"
        f"<style>{_STYLE}</style></head>"
        f"<body><h1>Data check: {used} of {len(facts)} cases are used</h1>"
        f"{''.join(f'<p class=warned>{html.escape(note)}</p>' for note in notes)}"
        f"<p>Each rule with the values that broke it (Great Expectations):</p><ul>{links}</ul>"
        "<table><thead><tr><th>case</th><th>grade</th><th>release</th><th>verdict</th><th>reason and cure</th></tr>"
        f"</thead><tbody>{''.join(text for _, text in rows)}</tbody></table>{_list_unused(unused)}</body></html>\n"
    )
    (docs / "index.html").write_text(page, encoding="utf-8")


def _list_unused(unused: Sequence[Unused]) -> str:
    if not unused:
        return ""
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in by_reason(unused))
    return f"<h2>{len(unused)} volumes were seen and not used</h2><ul>{lines}</ul>"


def _pages(docs: Path) -> list[tuple[str, Path]]:
    found = [("all rules, with results", page) for page in sorted(docs.rglob("validations/**/*.html"))]
    return found + [("the list of rules", page) for page in sorted(docs.rglob("expectations/*.html"))]
