"""brats-cascade data check: what is in a folder, and what is wrong with it, as a table in the terminal."""

import shutil
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade.data.cases import search
from brats_cascade.data.checks import Verdict, judge_cases, mixed_labels
from brats_cascade.data.ingest import survey
from brats_cascade.data.rules import NO_ENHANCING, NO_TRUTH
from brats_cascade.data.stops import dvc_overlooks, dvc_stops_at
from brats_cascade.data.unused import by_reason, note_unused, noted_unused

HEADERS = ("case", "grade", "release", "shape", "spacing mm", "labels", "verdict", "reason and cure")
_MOST_LINES = 20
_ORDER = ("set aside", "predict only", "warning", "ok")


def run(path: Path, *, layout: str = "auto", workers: int = 1) -> tuple[str, int]:
    """Reads every case below a folder and judges it by the rules of the validate stage; writes nothing there.

    Args:
        path: A folder of cases, of any supported release, or a listing.
        layout: "auto", or a release's name.
        workers: Processes.

    Returns:
        The table as text, and the number of problems: cases that the pipeline sets aside for more than having no
        truth to train with, and kinds of files at which DVC would stop.

    Raises:
        UserError: No such folder, layout or case.
    """
    found = search(Path(path), layout=layout)
    facts = survey(found.cases, workers=workers)
    note_unused(facts, unused=found.unused)
    with tempfile.TemporaryDirectory(prefix="brats-cascade-check-") as docs:
        verdict = judge_cases(facts, docs=Path(docs))
    text, stops = render(facts, verdict=verdict), dvc_stops_at(Path(path))
    return "\n".join([*stops, *dvc_overlooks(Path(path)), text]), len(verdict.set_aside) - len(
        _untrainable(verdict)
    ) + len(stops)


def render(facts: pd.DataFrame, *, verdict: Verdict, width: int | None = None) -> str:
    """The table, with bad cases first to catch the eye, and a line that sums it up.

    Args:
        facts: The per-case table.
        verdict: What the rules made of it.
        width: Characters in a line; None for that of the terminal.

    Returns:
        Text without a line break at its end.
    """
    aside, warned, untrainable = dict(verdict.set_aside), dict(verdict.warnings), _untrainable(verdict)
    rows = []
    for fact in facts.to_dict("records"):
        name = str(fact["case"])
        word = "warning" if name in warned else "ok"
        if name in aside:
            word = "predict only" if name in untrainable else "set aside"
        reason = aside.get(name) or warned.get(name) or ""
        cells = (name, fact["grade"], fact["release"], _shape(fact), _spacing(fact), fact["labels"] or "-", word)
        rows.append((*map(str, cells), reason.removeprefix(f"{name}: ")))
    rows.sort(key=lambda row: (_ORDER.index(row[6]), row[0]))
    summary = (
        f"{_number(len(facts), 'case')}: {len(facts) - len(aside)} usable for training ({len(warned)} with a warning), "
        f"{len(untrainable)} for predict only, {len(aside) - len(untrainable)} set aside"
    )
    mixed = mixed_labels(facts[facts["case"].isin(verdict.accepted)])
    notes = [f"Mixed labels: {mixed}; data.labels: merge trains on four classes, refuse stops."] if mixed else []
    notes += [f"note: {note}" for note in verdict.notes]
    notes += _seen_not_used(facts)
    table = _table(rows, width=width or shutil.get_terminal_size((140, 40)).columns)
    return "\n".join([*table, "", *notes, _volumes(facts, verdict=verdict, untrainable=untrainable), summary])


def _seen_not_used(facts: pd.DataFrame) -> list[str]:
    """The volumes of no case, by reason."""
    lines = by_reason(noted_unused(facts))
    left = len(lines) - _MOST_LINES
    shown = [f"seen, not used: {line}" for line in lines[:_MOST_LINES]]
    return [*shown, f"seen, not used: {left} more reasons"] if left > 0 else shown


def _volumes(facts: pd.DataFrame, *, verdict: Verdict, untrainable: set[str]) -> str:
    """What became of every volume; the counts add up."""
    predict_only = int(facts.loc[facts["case"].isin(untrainable), "volumes"].sum())
    counts = verdict.volumes
    return (
        f"{_number(sum(counts.values()), 'volume')}: {counts['used']} usable for training, {predict_only} for predict only, "
        f"{counts['set_aside'] - predict_only} set aside, {counts['not_used']} seen and not used"
    )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _untrainable(verdict: Verdict) -> set[str]:
    """The cases whose only fault is that their truth is missing, or too coarse to train with."""
    reasons = (NO_TRUTH, NO_ENHANCING)
    return {case for case, reason in verdict.set_aside if reason in [f"{case}: {fault}" for fault in reasons]}


def _shape(fact: dict[Any, Any]) -> str:
    sizes = [fact[name] for name in ("slices", "rows", "columns")]
    return "-" if any(pd.isna(size) for size in sizes) else "x".join(str(size) for size in sizes)


def _spacing(fact: dict[Any, Any]) -> str:
    spacing = [fact[f"spacing_{name}"] for name in ("slice", "row", "column")]
    return "-" if any(pd.isna(size) for size in spacing) else "x".join(f"{size:.3g}" for size in spacing)


def _table(rows: list[tuple[str, ...]], *, width: int) -> list[str]:
    """Aligned columns; the last one, the reason, goes on in lines of its own where it does not fit."""
    widths = [max(len(line[column]) for line in (HEADERS, *rows)) for column in range(len(HEADERS) - 1)]
    indent = sum(widths) + 2 * len(widths)
    beside = width - indent >= 40
    lines = []
    rule = tuple("-" * size for size in (*widths, len(HEADERS[-1])))
    for row in (HEADERS, rule, *rows):
        start = "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=False))
        if beside:
            pieces = textwrap.wrap(row[-1], width - indent, break_on_hyphens=False) or [""]
            lines.append(f"{start}  {pieces[0]}".rstrip())
            lines.extend(" " * indent + piece for piece in pieces[1:])
        else:
            lines.append(start.rstrip())
            if row in rows:
                lines.extend(f"    {piece}" for piece in textwrap.wrap(row[-1], width - 4, break_on_hyphens=False))
    return lines
