"""The gate: which cases of the per-case table are used, which are set aside, and why."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brats_cascade import MODALITIES, PHANTOM
from brats_cascade.data.data_docs import make_offline, write_entry_page
from brats_cascade.data.expectations import failing_cases
from brats_cascade.data.facts import table
from brats_cascade.data.rules import SPREAD, Rule, Spacing, all_rules, case_rules, in_mm
from brats_cascade.data.unused import noted_unused
from brats_cascade.errors import UserError
from brats_cascade.labels import FIVE, LABELS, REGIONS, SCHEMES

USUAL_SPACING = 1.0  # mm, of every BraTS release
LOGGER = logging.getLogger(__name__)

_TEXTS = (
    *("case", "patient", "grade", "release", "scheme", "folder", "namesake"),
    *("modalities", "problem", "unknown_labels"),
)
_FLAGS = ("has_truth", "same_grid", "finite")
_NUMBERS = (
    *("brain_fraction", "tumour_cm3", "spacing_slice", "spacing_row", "spacing_column"),
    *(f"{name}_{value}" for name in MODALITIES for value in ("min", "p01", "p50", "p99", "max", "std")),
)


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
    """

    accepted: tuple[str, ...]
    set_aside: tuple[tuple[str, str], ...]
    warnings: tuple[tuple[str, str], ...]
    volumes: Mapping[str, int] = field(default_factory=dict)
    unused: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The content of data/verdict.json."""
        return {
            "accepted": list(self.accepted),
            "set_aside": [{"case": case, "reason": reason} for case, reason in self.set_aside],
            "warnings": [{"case": case, "reason": reason} for case, reason in self.warnings],
            "notes": list(self.notes),
            "volumes": dict(self.volumes),
            "not_used": [{"file": file, "reason": reason} for file, reason in self.unused],
        }


def validate_cases(cases: pd.DataFrame, *, docs: Path, labels: str = "merge") -> Verdict:
    """The validate stage: `judge_cases`, which must leave something to work with.

    Args:
        cases: data/cases.parquet, one row per case found.
        docs: As `judge_cases`.
        labels: What becomes of a cohort in which some releases merge labels that others tell apart: "merge" them in
            all, or "refuse" the cohort.

    Returns:
        The verdict.

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
    check_one_label_set(cases[cases["case"].isin(verdict.accepted)], labels=labels)
    return verdict


def judge_cases(cases: pd.DataFrame, *, docs: Path) -> Verdict:
    """Checks the per-case table with Great Expectations and writes its data docs.

    Args:
        cases: The per-case table, not empty.
        docs: Folder for the pages; emptied first. Its index.html tells the verdict and leads to the data docs.

    Returns:
        The verdict. A case whose files could not be read has that problem as its only reason.
    """
    facts = _facts(cases)
    spacing = _most_common_spacing(facts)
    rules = all_rules(spacing=spacing)
    shutil.rmtree(docs, ignore_errors=True)
    site = docs / "great_expectations"
    failing = failing_cases(facts, rules=rules, site=site)
    make_offline(site, home="../index.html")
    verdict = _account(cases, verdict=_judge(facts, rules=rules, failing=failing))
    verdict = replace(verdict, notes=_notes(facts, spacing=spacing))
    write_entry_page(
        docs,
        facts=facts,
        set_aside=verdict.set_aside,
        warnings=verdict.warnings,
        notes=verdict.notes,
        unused=noted_unused(cases),
    )
    return verdict


def judge_case(facts: Mapping[str, Any], *, truth: bool = False) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Judges one case by the rules that need no cohort, without Great Expectations.

    Args:
        facts: The case's row as `prepare_case` returns it; what is missing is unknown.
        truth: Whether to apply the rules about its ground truth, which a prediction does not need.

    Returns:
        Why the validate stage would set it aside, and what it would warn of: reasons without the case's name, each
        once; empty for a case that is in order.
    """
    (row,) = _records(_plain(table([facts])))
    broken = [rule for rule in case_rules(truth=truth) if rule.broken_by(row)]
    errors, warnings = (
        tuple(dict.fromkeys(rule.reason(row) for rule in broken if rule.severity == severity))
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
    unused = tuple((one.path.as_posix(), one.reason) for one in noted_unused(cases))
    used = cases["case"].isin(verdict.accepted)
    counts = {"used": int(cases.loc[used, "volumes"].sum()), "set_aside": int(cases.loc[~used, "volumes"].sum())}
    return replace(verdict, volumes={**counts, "not_used": len(unused)}, unused=unused)


def check_one_label_set(cases: pd.DataFrame, *, labels: str) -> None:
    """Applies `data.labels` to a cohort in which only some schemes tell necrosis and non-enhancing tumour apart.

    Args:
        cases: One row per accepted case, with the columns case and scheme.
        labels: "merge": such a cohort is used with the two as one label (regions stay comparable); "refuse": it is not.

    Raises:
        UserError: Such a cohort, and `labels` is "refuse".
    """
    mixed = mixed_labels(cases)
    if not mixed:
        return
    if labels == "refuse":
        raise UserError(
            f"data.labels: refuse, but {mixed}; set data.labels to merge to train on four classes, or take one kind out"
        )
    LOGGER.warning("%s: all are used with the two as one label; data.labels: refuse would stop here", mixed)


def mixed_labels(cases: pd.DataFrame) -> str:
    """Says in words that only some cases tell necrosis and non-enhancing tumour apart; "" where all do or none does.

    Args:
        cases: One row per case, with the columns case and scheme.

    Returns:
        How many there are of either kind, with the first name of each.
    """
    whole = cases["scheme"].map(lambda scheme: SCHEMES[scheme].canonical_labels == FIVE.canonical_labels).astype(bool)
    if whole.all() or not whole.any():
        return ""
    five, merged = cases.loc[whole, "case"], cases.loc[~whole, "case"]
    return (
        f"{len(five)} cases tell necrosis and non-enhancing tumour apart (first {five.iloc[0]}), {len(merged)} hold "
        f"them as one label (first {merged.iloc[0]})"
    )


def cohort_numbers(cases: pd.DataFrame, *, verdict: Verdict) -> dict[str, int]:
    """The content of metrics/data.json.

    Args:
        cases: The per-case table.
        verdict: What `validate_cases` made of it.

    Returns:
        Cases found, accepted, set_aside and with warnings; patients accepted, and of these high and low grade.
    """
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


def _facts(cases: pd.DataFrame) -> pd.DataFrame:
    """The columns that the rules look at, every case with its twin, by name."""
    facts = _plain(cases)
    facts["twin"] = _twins(facts, hashes=cases["voxels_hash"].astype("object").fillna("").astype(str))
    return facts.sort_values(["case", "folder"], kind="stable").reset_index(drop=True)


def _plain(cases: pd.DataFrame) -> pd.DataFrame:
    """What is known of single cases in plain types: text without nulls, "yes"/"no"/"", float64.

    Two columns are worked out here: the share of the tumour that lies outside the brain, and whether the truth tells
    all regions apart.
    """
    facts = pd.DataFrame({name: cases[name].astype("object").fillna("").astype(str) for name in _TEXTS})
    facts["modalities"] = facts["modalities"].map(_in_our_order)
    for name in _FLAGS:
        facts[name] = [("yes" if value else "no") if pd.notna(value) else "" for value in cases[name]]
    for name in _NUMBERS:
        facts[name] = pd.to_numeric(cases[name]).astype("float64")
    outside = pd.to_numeric(cases["tumour_outside_brain"]).astype("float64")
    tumour = cases[[f"label_{label}" for label in LABELS if label]].astype("float64").sum(axis=1)
    facts["tumour_outside"] = (outside / tumour).where(tumour > 0)
    whole = facts["scheme"].map(lambda scheme: scheme not in SCHEMES or SCHEMES[scheme].regions == tuple(REGIONS))
    facts["regions"] = np.where(whole | (facts["has_truth"] != "yes"), "all", "some")
    return facts


def _records(facts: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(column): value for column, value in row.items()} for row in facts.to_dict("records")]


def _in_our_order(modalities: str) -> str:
    names = modalities.split(",") if modalities else []
    return ",".join(sorted(names, key=lambda name: (MODALITIES.index(name) if name in MODALITIES else 9, name)))


def _twins(facts: pd.DataFrame, *, hashes: pd.Series) -> pd.Series:
    """For every row the case with the same voxels that is kept instead of it, "" if there is none.

    Of the rows with one hash the first by name stays, those that no rule sets aside before the others.
    """
    critical = [rule for rule in case_rules(truth=True) if rule.severity == "critical"]
    sound = [not any(rule.broken_by(row) for rule in critical) for row in _records(facts)]
    usable = pd.Series(sound, index=facts.index) & ~facts["case"].duplicated(keep=False)
    order = facts.assign(_hash=hashes, _later=~usable).sort_values(["_later", "case", "folder"], kind="stable")
    known = order[order["_hash"] != ""]
    first = known.groupby("_hash")["case"].transform("first")
    twin = first.where(known.duplicated("_hash"), "")
    return twin.reindex(facts.index, fill_value="")


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


def _join(rules: Sequence[Rule], *, row: dict[Any, Any]) -> str:
    """The rules' reasons as one line that names the case; equal reasons once."""
    reasons = "; ".join(dict.fromkeys(rule.reason(row) for rule in rules))
    return " ".join((reasons if row["case"] in reasons else f"{row['case']}: {reasons}").split())
