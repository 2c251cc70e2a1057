"""The data check: decides which cases of the per-case table are used and which are excluded, and why."""

import contextlib
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade import PHANTOM
from brats_cascade.data.expectations import failing_rules
from brats_cascade.data.facts import SPACINGS, table
from brats_cascade.data.rule_table import facts_of, plain
from brats_cascade.data.rules import SCAN_RULES, SPREAD, Row, Rule, Spacing, all_rules, in_mm
from brats_cascade.data.traces import discreet
from brats_cascade.data.unused import noted_unused
from brats_cascade.data.verdict import Verdict, write_entry_page
from brats_cascade.errors import UserError
from brats_cascade.labels import FIVE, SCHEMES

USUAL_SPACING = 1.0  # mm, of every BraTS release
LOGGER = logging.getLogger(__name__)


def validate_cases(cases: pd.DataFrame, *, docs: Path, labels: str = "merge") -> Verdict:
    """The validate stage: runs `judge_cases`, and fails if no usable data is left.

    `labels` decides what to do if only some releases merge necrosis and non-enhancing tumour: "merge" merges them in all
    cases (the regions stay comparable), "refuse" fails.

    Raises:
        UserError: There are no cases, all are excluded (the message lists the first reasons), or the accepted ones mix
            label schemes and `labels` is "refuse".
    """
    if cases.empty:
        raise UserError("data/cases.parquet holds no cases: set data.source to a folder that holds some")
    verdict = judge_cases(cases, docs=docs)
    for note in verdict.notes:
        LOGGER.warning("%s", note)
    for _, reason in verdict.set_aside:
        LOGGER.warning("excluded: %s", reason)
    if not verdict.accepted:
        first = " | ".join(reason for _, reason in verdict.set_aside[:3])
        raise UserError(f"all {len(cases)} cases are excluded; see {docs / 'index.html'}; the first reasons: {first}")
    mixed = mixed_labels(cases[cases["case"].isin(verdict.accepted)])
    if mixed and labels == "refuse":
        raise UserError(
            f"data.labels: refuse, but {mixed}; set data.labels to merge to train on four classes, or remove one kind"
        )
    if mixed:
        LOGGER.warning("%s: the two are merged in all cases; with data.labels: refuse this would be an error", mixed)
    return verdict


def mixed_labels(cases: pd.DataFrame) -> str:
    """A sentence if only some cases tell necrosis and non-enhancing tumour apart; "" if all or none do."""
    whole = cases["scheme"].map(lambda scheme: SCHEMES[scheme].canonical_labels == FIVE.canonical_labels).astype(bool)
    if whole.all() or not whole.any():
        return ""
    five, merged = cases.loc[whole, "case"], cases.loc[~whole, "case"]
    return (
        f"{len(five)} cases tell necrosis and non-enhancing tumour apart (first {five.iloc[0]}), {len(merged)} hold "
        f"them as one label (first {merged.iloc[0]})"
    )


def judge_cases(cases: pd.DataFrame, *, docs: Path) -> Verdict:
    """Checks the per-case table with Great Expectations and writes its data docs into a folder, which is emptied first.

    The page index.html shows the verdict and links to the data docs. If the files of a case could not be read, this is its
    only reason.
    """
    facts = facts_of(cases)
    spacing = _most_common_spacing(facts)
    shutil.rmtree(docs, ignore_errors=True)
    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, docs, ignore_errors=True)
        broken = failing_rules(facts, rules=all_rules(spacing=spacing), site=docs / "great_expectations")
        verdict = _judge(cases, facts=facts, broken=broken, notes=_notes(facts, spacing=spacing))
        write_entry_page(docs, cases=cases, verdict=verdict)
        undo.pop_all()  # pages are missing only after a failure, such as a full disk
    return verdict


def judge_case(facts: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Judges the scans of a single case that `prepare_case` measured, without a cohort and without Great Expectations.

    Returns:
        The reasons why the validate stage would exclude the case, and its warnings, without the case's name or duplicates.
    """
    (row,) = plain(table([facts])).to_dict("records")
    broken = [rule for rule in SCAN_RULES if rule.broken_by(row)]
    errors, warnings = (
        tuple(dict.fromkeys(rule.reason.format_map(row) for rule in broken if rule.severity == severity))
        for severity in ("critical", "warning")
    )
    return errors, warnings


def _most_common_spacing(facts: pd.DataFrame) -> Spacing:
    """The lower median spacing along each axis, mm; 1 mm if no spacing is known."""
    known = facts[list(SPACINGS)].dropna()
    if known.empty:
        return 1.0, 1.0, 1.0
    slices, rows, columns = (float(size) for size in known.quantile(0.5, interpolation="lower"))
    return slices, rows, columns


def _notes(facts: pd.DataFrame, *, spacing: Spacing) -> tuple[str, ...]:
    """A note if the cohort's spacing is not that of the BraTS releases, unless the cohort is the phantom."""
    usual = all(abs(size - USUAL_SPACING) <= SPREAD * USUAL_SPACING for size in spacing)
    if usual or (facts["release"] == PHANTOM).all():
        return ()
    return (
        f"spacing {in_mm(spacing)} (slice, row, column), where the BraTS releases have {USUAL_SPACING:g} mm: a network "
        "trained on these cases fits only cases with this spacing",
    )


def _judge(
    cases: pd.DataFrame, *, facts: pd.DataFrame, broken: Mapping[str, Sequence[Rule]], notes: tuple[str, ...]
) -> Verdict:
    """Turns broken rules into one line per case and severity, and accounts for every volume."""
    accepted: list[str] = []
    set_aside: list[tuple[str, str]] = []
    warnings: list[tuple[str, str]] = []
    for row in facts.to_dict("records"):
        case = str(row["case"])
        rules = broken.get(case, ())
        errors = [rule for rule in rules if rule.severity == "critical"]
        if errors:
            set_aside.append((case, _join(errors[:1] if row["problem"] else errors, row=row)))
            continue
        accepted.append(case)
        if rules:
            warnings.append((case, _join(rules, row=row)))
    used, unused = cases["case"].isin(accepted), tuple(noted_unused(cases))
    counts = {"used": int(cases.loc[used, "volumes"].sum()), "set_aside": int(cases.loc[~used, "volumes"].sum())}
    traces = facts.loc[facts["traces"] != "", ["case", "traces"]].itertuples(index=False)
    return Verdict(
        accepted=tuple(accepted),
        set_aside=tuple(set_aside),
        warnings=tuple(warnings),
        volumes={**counts, "not_used": len(unused)},
        unused=unused,
        notes=notes,
        traces=tuple(f"{discreet(case)}: {found}" for case, found in traces),
    )


def _join(rules: Sequence[Rule], *, row: Row) -> str:
    """Joins the rules' reasons into one line that names the case, without duplicates."""
    reasons = "; ".join(dict.fromkeys(rule.reason.format_map(row) for rule in rules))
    return " ".join((reasons if row["case"] in reasons else f"{row['case']}: {reasons}").split())
