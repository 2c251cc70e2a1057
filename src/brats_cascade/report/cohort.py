"""The report's account of the data: cases, sets, verdict, patch sets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brats_cascade.labels import LABELS
from brats_cascade.project import Project
from brats_cascade.report.cohort_figure import cohort_figure, intensity_figure, patch_figure
from brats_cascade.report.embed import missing, picture, read_json, read_table, records

# Of data/fingerprint.json, per modality.
STATISTICS = {
    "mean": "mean",
    "std": "standard deviation",
    "p01": "1st percentile",
    "p50": "median",
    "p99": "99th percentile",
}


def describe_cohort(root: Path) -> dict[str, Any]:
    """Cases, the sets they are in, and the verdict of validation."""
    cases = read_table(Project(root).cases)
    verdict = read_json(Project(root).verdict) or {}
    splits = read_json(Project(root).splits) or {}
    set_of = {case: name for name in ("train", "validation", "test") for case in splits.get(name, [])}
    rows = []
    if cases is not None:
        cases = cases.assign(set=[set_of.get(case, "excluded") for case in cases["case"]])
        rows = [_case_row(row) for row in records(cases)]
    usable = None if cases is None or "stored" not in cases else cases[cases["stored"].astype(bool)]
    return {
        "numbers": read_json(Project(root).metrics / "data.json") or {},
        "sets": {name: len(splits.get(name, [])) for name in ("train", "validation", "test")} if splits else {},
        "seed": splits.get("seed"),
        "rows": rows,
        "set_aside": _reasons(verdict.get("set_aside", [])),
        "warnings": _reasons(verdict.get("warnings", [])),
        "figure": None if usable is None or usable.empty else picture(cohort_figure(usable)),
    }


def _reasons(entries: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Every reason once, with its case, or the number of its cases and their names.

    A case's name, which stands in a cell of its own, is taken off the reason's front.
    """
    cases: dict[str, list[str]] = {}
    for entry in entries:
        cases.setdefault(entry["reason"].removeprefix(f"{entry['case']}: "), []).append(entry["case"])
    return [
        {"reason": reason, "case": names[0], "names": ""}
        if len(names) == 1
        else {"reason": reason, "case": f"{len(names)} cases", "names": ", ".join(names)}
        for reason, names in cases.items()
    ]


def _case_row(row: Mapping[str, Any]) -> dict[str, str]:
    def joined(*names: str, form: str) -> str:
        values = [row.get(name) for name in names]
        known = not any(missing(value) for value in values)
        return " \N{MULTIPLICATION SIGN} ".join(format(value, form) for value in values) if known else ""

    return {
        **{name: "" if missing(row.get(name)) else str(row[name]) for name in ("case", "grade", "release", "set")},
        "shape": joined("columns", "rows", "slices", form=".0f"),
        "spacing": joined("spacing_column", "spacing_row", "spacing_slice", form="g"),
        "labels": str(row.get("labels") or ""),
        "tumour": joined("tumour_cm3", form=".1f"),
        "problem": str(row.get("problem") or ""),
    }


def describe_fingerprint(root: Path) -> dict[str, Any] | None:
    """The cohort in numbers, from data/fingerprint.json: counts, spreads over the cases, labels, and a figure."""
    found = read_json(Project(root).fingerprint)
    if not found:
        return None

    def listed(counts: Mapping[str, int]) -> str:
        several = ", ".join(f"{value} ({count})" for value, count in list(counts.items())[:4])
        return several + (f" and {len(counts) - 4} more" if len(counts) > 4 else "")

    spreads = {"tumour, cm³": found.get("tumour_cm3"), "brain, share of the volume": found.get("brain_fraction")}
    for modality, statistics in (found.get("intensities") or {}).items():
        spreads |= {
            f"{modality}, {words} in the brain": statistics[name]
            for name, words in STATISTICS.items()
            if name in statistics
        }
    return {
        "counts": [
            {
                "what": "release (cases)",
                "values": listed({n: r["cases"] for n, r in found.get("releases", {}).items()}),
            },
            {"what": "shape, slices x rows x columns (cases)", "values": listed(found.get("shapes", {}))},
            {"what": "spacing, mm (cases)", "values": listed(found.get("spacings", {}))},
        ],
        "spreads": [
            {
                "what": what,
                **{key: "" if missing(spread[key]) else f"{spread[key]:.3g}" for key in ("min", "median", "max")},
            }
            for what, spread in spreads.items()
            if spread
        ],
        "labels": [
            {
                "label": row["name"],
                **{key: "" if missing(row.get(key)) else f"{100 * row[key]:.3g} %" for key in ("share", "paper")},
                "cases": row["cases"],
            }
            for row in (found.get("labels") or {}).get("table", [])
        ],
        "figure": picture(intensity_figure(found["intensities"])) if found.get("intensities") else None,
    }


def describe_patches(root: Path) -> dict[str, Any] | None:
    """Share of each label among all voxels, and in the patch sets: "rows" and "figure"; None without them."""
    summary = read_json(Project(root).patches / "summary.json")
    if not summary:
        return None
    rows = []
    for label in summary["classes"]:
        share = summary.get("voxel_shares", {}).get(str(label))
        counts = {name: f"{held.get(str(label), 0):,}" for name, held in summary.get("counts", {}).items()}
        rows.append({"label": LABELS[label], "share": "" if share is None else f"{100 * share:.3g} %", **counts})
    return {"rows": rows, "figure": picture(patch_figure(summary["counts"]))}
