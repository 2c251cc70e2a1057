"""Collects the report's data section: cases, sets, verdict, fingerprint and patch sets."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brats_cascade.project import Project, read_json_if_there, read_table_if_there
from brats_cascade.report.cohort_figure import MOST, PERCENTILES, cohort_figure, intensity_figure, patch_figure
from brats_cascade.report.embed import picture
from brats_cascade.report.render import class_names

SETS = ("train", "validation", "test")
# Statistics per modality in data/fingerprint.json.
STATISTICS = {"mean": "mean", "std": "standard deviation", **PERCENTILES}


def describe_data(root: Path) -> dict[str, Any]:
    """The context for `data.html.j2`; every file may be missing."""
    project = Project(root)
    verdict, splits = read_json_if_there(project.verdict) or {}, read_json_if_there(project.splits) or {}
    fingerprint, patches = read_json_if_there(project.fingerprint), read_json_if_there(project.patches / "summary.json")
    cases = read_table_if_there(project.cases)
    usable = None if cases is None or "stored" not in cases else cases[cases["stored"].astype(bool)]
    if cases is not None:
        set_of = {case: name for name in SETS for case in splits.get(name, [])}
        cases = cases.assign(set=[set_of.get(case, "excluded") for case in cases["case"]])
    return {
        "numbers": read_json_if_there(project.metrics / "data.json") or {},
        "sets": {name: len(splits.get(name, [])) for name in SETS} if splits else {},
        "rows": [] if cases is None else json.loads(cases.to_json(orient="records")),  # None: not known
        "set_aside": _reasons(verdict.get("set_aside", [])),
        "warnings": _reasons(verdict.get("warnings", [])),
        "fingerprint": fingerprint,
        "statistics": STATISTICS,
        "patches": patches,
        "labels": class_names(patches["classes"]) if patches else {},
        "most": MOST if usable is not None and len(usable) > MOST else None,  # None: the chart has all cases
        "figure": None if usable is None or usable.empty else picture(cohort_figure(usable)),
        "intensities": picture(intensity_figure(fingerprint["intensities"])) if fingerprint else None,
        "centres": picture(patch_figure(patches["counts"])) if patches else None,
    }


def _reasons(entries: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Every reason once, with its case, or with the number and names of its cases.

    The case's name, which has its own cell, is removed from the start of the reason.
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
