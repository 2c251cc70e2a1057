"""The patient-wise cross-validation: every case predicted once by a model that never saw its patient."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from brats_cascade.evaluation.paired import against, in_words
from brats_cascade.record.failures import failure_lines
from brats_cascade.record.tables import cases_table, grades_table

if TYPE_CHECKING:
    import pandas as pd


def crossval_lines(
    summary: Mapping[str, Any],
    *,
    cases: "pd.DataFrame",
    others: "Mapping[str, pd.DataFrame] | None" = None,
    above: float | None = None,
) -> list[str]:
    """Its table, all cases and grades apart, and how it was made.

    Args:
        summary: reports/crossval/E/summary.json.
        cases: reports/crossval/E/cases.csv.
        others: Other cross-validations of the same data, experiment -> cases: compared patient by patient.
        above: Seconds of training of the experiment of that name elsewhere on the page.

    Returns:
        Markdown.
    """
    folds, name = summary["folds"], str(summary["experiment"])
    patients, minutes = cases["patient"].nunique(), [fold["seconds"] / 60 for fold in folds]
    trained = sorted({fold["train"] for fold in folds})
    machines = ", ".join(sorted({fold["machine"] for fold in folds}))
    pixels = sum(fold["labelled_pixels"] for fold in folds) / len(folds) / 1e6
    label, scans = (
        (f"{name}_n4", ", all with the bias field of T1 and T1c corrected (N4)") if summary.get("n4") else (name, "")
    )
    return [
        f"`python pipelines/crossval.py {name} --folds {len(folds)}`: {len(cases)} cases of {patients} patients{scans}, each "
        f"predicted once by a model that never saw the patient, trained on {' or '.join(map(str, trained))} cases; "
        "post-processing chosen on each fold's own validation patients. A fold's training took "
        f"{min(minutes):.1f} to {max(minutes):.1f} min for {pixels:.1f} M labelled pixels, on {machines}; commit "
        f"{summary['git_commit']}."
        + (f" The experiment of that name in the table above was trained {above / 60:.1f} min." if above else ""),
        "",
        *grades_table({label: cases}),
        "",
        *failure_lines([cases]),
        "",
        *_against(label, cases=cases, others=others or {}),
        *cases_table({label: cases}),
    ]


def _against(name: str, *, cases: "pd.DataFrame", others: "Mapping[str, pd.DataFrame]") -> list[str]:
    """Paired differences to the other cross-validations; empty where there are none."""
    found = against(name, tables={**others, name: cases})
    lines = [
        f"- {name} minus {other}, Dice {region}: {in_words(numbers)}."
        for other, regions in found.items()
        for region, numbers in regions.items()
    ]
    return [*lines, ""] if lines else []
