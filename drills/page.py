"""Writes docs/reliability.md from the records of the drills."""

from pathlib import Path
from typing import Any

from brats_cascade.shared import write_text
from drills import ROOT
from drills.common import Drill, read_record
from drills.table import DRILLS

PAGE = ROOT / "docs/reliability.md"


def write_page() -> Path:
    """Writes the page."""
    records = {name: read_record(name) for name in DRILLS}
    write_text(PAGE, "\n".join(page_lines(DRILLS, records=records)) + "\n")
    return PAGE


def page_lines(drills: dict[str, Drill], *, records: dict[str, dict[str, Any]]) -> list[str]:
    """The lines of the page; a drill without a record is listed as missing."""
    known = [records[name] for name in drills if records.get(name) and not records[name].get("not_run")]
    tried, faults = (sum(record[key] for record in known) for key in ("tried", "faults"))
    lines = [
        "# Reliability",
        "",
        "`make drill` (`python -m drills [NAME ...] [--seed N] [--share X]`) injects faults at random times and places, checks",
        "the outcome, and writes this page. The tests run a few faults of each kind with the same functions. How each kind is",
        "handled: [architecture](architecture.md), [error messages](bad-input.md), [tracking](tracking.md),",
        "[the server](inference.md).",
        "",
        f"**{faults} fault{'' if faults == 1 else 's'} in {tried:,} attempts.**",
        "",
        "| drill | tried | faults | seconds |",
        "| --- | --- | --- | --- |",
        *(_summary(name, drill, record=records.get(name, {})) for name, drill in drills.items()),
    ]
    for name, drill in drills.items():
        lines += ["", *_part(name, drill, record=records.get(name, {}))]
    return lines


def _summary(name: str, drill: Drill, *, record: dict[str, Any]) -> str:
    reason = record.get("not_run") if record else "no record"
    if reason:
        return f"| {drill.title} (`{name}`) | not run: {reason} | | |"
    return f"| {drill.title} (`{name}`) | {record['tried']:,} | {record['faults']} | {record['seconds']} |"


def _part(name: str, drill: Drill, *, record: dict[str, Any]) -> list[str]:
    lines = [f"## {drill.title}", "", drill.about, ""]
    if not record or record.get("not_run"):
        return [*lines, f"Not run: {record.get('not_run', 'no record')}."]
    lines += _table(record["rows"])
    seed = f"seed {record['seed']}" + (f", share {record['share']:g}" if record["share"] != 1 else "")
    lines += [
        "",
        f"**{record['faults']} of {record['tried']:,}.** `python -m drills {name}`, {seed}, {record['date']}, on",
    ]
    lines += [f"{record['machine']}, commit {record['commit'][:7]}{'+changes' if '+' in record['commit'] else ''}."]
    if record["examples"]:
        lines += ["", "Faults:", "", *(f"- {_cell(text)}" for text in record["examples"])]
    return lines


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as Markdown; tried and faults are the last columns, a row need not have every other."""
    last = ["tried", "faults"]
    names = [*dict.fromkeys(name for row in rows for name in row if name not in last), *last]
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    return lines + ["| " + " | ".join(_cell(row.get(name, "")) for name in names) + " |" for row in rows]


def _cell(value: Any) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
