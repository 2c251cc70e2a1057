"""The gate: which cases of the per-case table are used, which are set aside, and why."""

import contextlib
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade import PHANTOM
from brats_cascade.data.data_docs import make_offline, write_entry_page
from brats_cascade.data.expectations import failing_cases
from brats_cascade.data.facts import table
from brats_cascade.data.names import noted_names
from brats_cascade.data.rule_table import facts_of, plain
from brats_cascade.data.rules import SPREAD, Row, Rule, Spacing, all_rules, case_rules, in_mm
from brats_cascade.data.traces import discreet
from brats_cascade.data.unused import noted_unused
from brats_cascade.errors import UserError
from brats_cascade.labels import FIVE, SCHEMES

USUAL_SPACING = 1.0  # mm, of every BraTS release
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """What becomes of every case.

    Attributes:
        accepted: Names of the cases that are used, ascending; those with a warning are among them.
        set_aside: (case, reason) for every case that is not used, by name.
        warnings: (case, reason) for accepted cases worth a look, by name.
        volumes: How many files were seen: "used", "set_aside" (those of such cases) and "not_used" (of no case).
        unused: (file, reason) for every volume that belongs to no case, by name.
        notes: What is worth knowing of the cohort as a whole, one line each.
        traces: What looks like a person's name or a date, one line for each case that has such.
    """

    accepted: tuple[str, ...]
    set_aside: tuple[tuple[str, str], ...]
    warnings: tuple[tuple[str, str], ...]
    volumes: Mapping[str, int] = field(default_factory=dict)
    unused: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    traces: tuple[str, ...] = ()

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
            "not_used": [{"file": file, "reason": reason} for file, reason in self.unused],
        }


def validate_cases(cases: pd.DataFrame, *, docs: Path, labels: str = "merge") -> Verdict:
    """The validate stage: `judge_cases`, which must leave something to work with.

    Args:
        cases: data/cases.parquet, one row per case found.
        docs: As `judge_cases`.
        labels: What becomes of a cohort in which some releases merge labels that others tell apart: "merge" them in
            all (regions stay comparable), or "refuse" the cohort.

    Raises:
        UserError: There are no cases, every one is set aside (the message lists the first reasons), or the accepted
            ones number their labels in ways that `labels` refuses to mix.
    """
    if cases.empty:
        raise UserError("data/cases.parquet holds no cases: set data.source to a folder that holds some")
    verdict = judge_cases(cases, docs=docs)
    for note in verdict.notes:
        LOGGER.warning("%s", note)
    for _, reason in verdict.set_aside:
        LOGGER.warning("set aside: %s", reason)
    if not verdict.accepted:
        first = " | ".join(reason for _, reason in verdict.set_aside[:3])
        raise UserError(f"all {len(cases)} cases are set aside; see {docs / 'index.html'}; the first reasons: {first}")
    mixed = mixed_labels(cases[cases["case"].isin(verdict.accepted)])
    if mixed and labels == "refuse":
        raise UserError(
            f"data.labels: refuse, but {mixed}; set data.labels to merge to train on four classes, or take one kind out"
        )
    if mixed:
        LOGGER.warning("%s: all are used with the two as one label; data.labels: refuse would stop here", mixed)
    return verdict


def mixed_labels(cases: pd.DataFrame) -> str:
    """Says in words that only some cases tell necrosis and non-enhancing tumour apart; "" where all do or none does."""
    whole = cases["scheme"].map(lambda scheme: SCHEMES[scheme].canonical_labels == FIVE.canonical_labels).astype(bool)
    if whole.all() or not whole.any():
        return ""
    five, merged = cases.loc[whole, "case"], cases.loc[~whole, "case"]
    return (
        f"{len(five)} cases tell necrosis and non-enhancing tumour apart (first {five.iloc[0]}), {len(merged)} hold "
        f"them as one label (first {merged.iloc[0]})"
    )


def judge_cases(cases: pd.DataFrame, *, docs: Path) -> Verdict:
    """Checks the per-case table with Great Expectations and writes its data docs into a folder, emptied first.

    Its index.html tells the verdict and leads to the data docs. A case whose files could not be read has that problem as its
    only reason.
    """
    facts = facts_of(cases)
    spacing = _most_common_spacing(facts)
    rules = all_rules(spacing=spacing)
    shutil.rmtree(docs, ignore_errors=True)
    site = docs / "great_expectations"
    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, docs, ignore_errors=True)
        failing = failing_cases(facts, rules=rules, site=site)
        make_offline(site, home="../index.html")
        verdict = _account(cases, verdict=_judge(facts, rules=rules, failing=failing))
        traces = facts.loc[facts["traces"] != "", ["case", "traces"]].itertuples(index=False)
        lines = tuple(f"{discreet(case)}: {found}" for case, found in traces)
        verdict = replace(verdict, notes=_notes(facts, spacing=spacing), traces=lines)
        write_entry_page(
            docs,
            facts=facts,
            set_aside=verdict.set_aside,
            warnings=verdict.warnings,
            notes=(*verdict.notes, *verdict.traces),
            unused=noted_unused(cases),
            called=noted_names(cases),
        )
        undo.pop_all()  # only a failure, such as a full disk, leaves no pages
    return verdict


def judge_case(facts: Mapping[str, Any], *, truth: bool = False) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Judges one case by the rules that need no cohort, without Great Expectations.

    `facts` is its row as `prepare_case` returns it; the rules about its ground truth, which a prediction does not need, are
    applied with `truth`.

    Returns:
        Why the validate stage would set it aside, and what it would warn of: reasons without the case's name, each once.
    """
    (row,) = plain(table([facts])).to_dict("records")
    broken = [rule for rule in case_rules(truth=truth) if rule.broken_by(row)]
    errors, warnings = (
        tuple(dict.fromkeys(rule.reason.format_map(row) for rule in broken if rule.severity == severity))
        for severity in ("critical", "warning")
    )
    return errors, warnings


def _most_common_spacing(facts: pd.DataFrame) -> Spacing:
    """The lower median along each axis, mm; 1 mm where nothing is known."""
    known = facts[["spacing_slice", "spacing_row", "spacing_column"]].dropna()
    if known.empty:
        return 1.0, 1.0, 1.0
    slices, rows, columns = (float(size) for size in known.quantile(0.5, interpolation="lower"))
    return slices, rows, columns


def _notes(facts: pd.DataFrame, *, spacing: Spacing) -> tuple[str, ...]:
    """One line where the cohort's spacing is not that of the BraTS releases, unless it is the phantom's own."""
    usual = all(abs(size - USUAL_SPACING) <= SPREAD * USUAL_SPACING for size in spacing)
    if usual or (facts["release"] == PHANTOM).all():
        return ()
    return (
        f"spacing {in_mm(spacing)} (slice, row, column), where the BraTS releases have {USUAL_SPACING:g} mm: a network "
        "trained on these cases fits others of this spacing only",
    )


def _account(cases: pd.DataFrame, *, verdict: Verdict) -> Verdict:
    """Adds what became of every volume that was seen."""
    unused = tuple((volume.path.as_posix(), volume.reason) for volume in noted_unused(cases))
    used = cases["case"].isin(verdict.accepted)
    counts = {"used": int(cases.loc[used, "volumes"].sum()), "set_aside": int(cases.loc[~used, "volumes"].sum())}
    return replace(verdict, volumes={**counts, "not_used": len(unused)}, unused=unused)


def cohort_numbers(cases: pd.DataFrame, *, verdict: Verdict) -> dict[str, int]:
    """The content of metrics/data.json: cases by verdict, and patients accepted, in all and by grade."""
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


def _judge(facts: pd.DataFrame, *, rules: Sequence[Rule], failing: Sequence[set[str]]) -> Verdict:
    """Turns failing rules into one line per case and severity."""
    accepted: list[str] = []
    set_aside: list[tuple[str, str]] = []
    warnings: list[tuple[str, str]] = []
    for row in facts.to_dict("records"):
        case = str(row["case"])
        broken = [rule for rule, names in zip(rules, failing, strict=True) if case in names]
        errors = [rule for rule in broken if rule.severity == "critical"]
        if row["problem"]:
            set_aside.append((case, _join(errors[:1], row=row)))
        elif errors:
            set_aside.append((case, _join(errors, row=row)))
        else:
            accepted.append(case)
            if broken:
                warnings.append((case, _join(broken, row=row)))
    return Verdict(tuple(accepted), tuple(set_aside), tuple(warnings))


def _join(rules: Sequence[Rule], *, row: Row) -> str:
    """The rules' reasons as one line that names the case; equal reasons once."""
    reasons = "; ".join(dict.fromkeys(rule.reason.format_map(row) for rule in rules))
    return " ".join((reasons if row["case"] in reasons else f"{row['case']}: {reasons}").split())
