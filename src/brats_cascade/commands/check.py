"""brats-cascade data check: lists the cases in a folder and their problems as a text table."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade import MAX_GB
from brats_cascade.data.cases import search
from brats_cascade.data.checks import judge_cases, mixed_labels
from brats_cascade.data.facts import SIZES, SPACINGS
from brats_cascade.data.ingest import survey
from brats_cascade.data.rules import NO_ENHANCING, NO_TRUTH
from brats_cascade.data.stops import dvc_overlooks, dvc_stops_at
from brats_cascade.data.unused import by_reason
from brats_cascade.data.verdict import Verdict
from brats_cascade.report.text import text_table

HEADERS = ("case", "grade", "release", "shape", "spacing mm", "labels", "verdict", "reason and fix")
_MOST_LINES = 20
_ORDER = ("excluded", "prediction only", "warning", "ok")


def run(path: Path, *, layout: str = "auto", workers: int = 1, max_gb: float = MAX_GB) -> tuple[str, int]:
    """Reads every case in a folder or listing and judges it by the rules of the validate stage, without writing anything.

    Returns:
        The table as text, and the number of problems: cases that the pipeline excludes for reasons other than unsuitable
        ground truth, and kinds of files at which DVC would stop.
    """
    found = search(Path(path), layout=layout)
    facts = survey(found.cases, workers=workers, max_gb=max_gb)
    facts.attrs.update(found.notes())
    with tempfile.TemporaryDirectory(prefix="brats-cascade-check-") as docs:
        verdict = judge_cases(facts, docs=Path(docs))
    text, stops = render(facts, verdict=verdict), dvc_stops_at(Path(path))
    problems = len(verdict.set_aside) - len(_untrainable(verdict)) + len(stops)
    return "\n".join([*stops, *dvc_overlooks(Path(path)), text]), problems


def render(facts: pd.DataFrame, *, verdict: Verdict) -> str:
    """The per-case table with verdicts, invalid cases first, followed by notes and a summary."""
    aside, warned, untrainable = dict(verdict.set_aside), dict(verdict.warnings), _untrainable(verdict)
    rows = []
    for fact in facts.to_dict("records"):
        name = str(fact["case"])
        word = "warning" if name in warned else "ok"
        if name in aside:
            word = "prediction only" if name in untrainable else "excluded"
        reason = aside.get(name) or warned.get(name) or ""
        shape, spacing = _sizes(fact, SIZES, form=""), _sizes(fact, SPACINGS, form=".3g")
        cells = (name, fact["grade"], fact["release"], shape, spacing, fact["labels"] or "-", word)
        rows.append((*map(str, cells), reason.removeprefix(f"{name}: ")))
    rows.sort(key=lambda row: (_ORDER.index(row[6]), row[0]))
    summary = (
        f"{_number(len(facts), 'case')}: {len(facts) - len(aside)} usable for training ({len(warned)} with a warning), "
        f"{len(untrainable)} for prediction only, {len(aside) - len(untrainable)} excluded"
    )
    mixed = mixed_labels(facts[facts["case"].isin(verdict.accepted)])
    notes = [f"Mixed labels: {mixed}; data.labels: merge trains on four classes, refuse stops."] if mixed else []
    notes += [f"note: {note}" for note in (*verdict.notes, *verdict.traces)]
    notes += _seen_not_used(verdict)
    table = text_table(HEADERS, rows=rows)
    return "\n".join([table, "", *notes, _volumes(facts, verdict=verdict, untrainable=untrainable), summary])


def _seen_not_used(verdict: Verdict) -> list[str]:
    """The volumes that belong to no case, by reason."""
    lines = by_reason(verdict.unused)
    left = len(lines) - _MOST_LINES
    shown = [f"not used: {line}" for line in lines[:_MOST_LINES]]
    return [*shown, f"not used: {left} more reasons"] if left > 0 else shown


def _volumes(facts: pd.DataFrame, *, verdict: Verdict, untrainable: set[str]) -> str:
    """The number of volumes by verdict; the counts add up to the total."""
    predict_only = int(facts.loc[facts["case"].isin(untrainable), "volumes"].sum())
    counts = verdict.volumes
    return (
        f"{_number(sum(counts.values()), 'volume')}: {counts['used']} usable for training, {predict_only} for prediction only, "
        f"{counts['set_aside'] - predict_only} excluded, {counts['not_used']} belonging to no case"
    )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _untrainable(verdict: Verdict) -> set[str]:
    """The cases whose only problem is a ground truth that is missing, or too coarse for training."""
    reasons = (NO_TRUTH, NO_ENHANCING)
    return {case for case, reason in verdict.set_aside if reason in [f"{case}: {fault}" for fault in reasons]}


def _sizes(fact: dict[Any, Any], names: Sequence[str], *, form: str) -> str:
    sizes = [fact[name] for name in names]
    return "-" if any(pd.isna(size) for size in sizes) else "x".join(format(size, form) for size in sizes)
