"""Describes a cohort in numbers: counts, shapes, spacings, intensities, and label frequencies next to the paper's."""

from typing import Any

import pandas as pd

from brats_cascade import MODALITIES
from brats_cascade.data.facts import SIZES, SPACINGS, STATISTICS
from brats_cascade.labels import FIVE, LABELS, SCHEMES

# Shares of the voxels of BRATS 2013's training volumes (paper section 3.2).
PAPER_SHARES = {0: 0.98, 1: 0.0018, 2: 0.011, 3: 0.0012, 4: 0.0038}


def fingerprint(cases: pd.DataFrame) -> dict[str, Any]:
    """Describes the cases that are used, given their rows of the per-case table.

    Returns:
        The content of data/fingerprint.json, JSON types only; docs/data.md lists its keys. A value that no case has is
        None.
    """
    return {
        "cases": len(cases),
        "patients": int(cases["patient"].nunique()),
        "releases": {str(release): _release(rows) for release, rows in cases.groupby("release", sort=True)},
        "shapes": _counts(cases, columns=SIZES),
        "spacings": _counts(cases, columns=SPACINGS),
        "brain_fraction": _spread(cases["brain_fraction"]),
        "tumour_cm3": _spread(cases["tumour_cm3"]),
        "intensities": {
            modality: {name: _spread(cases[f"{modality}_{name}"]) for name in STATISTICS} for modality in MODALITIES
        },
        "labels": _labels(cases),
    }


def _release(rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "cases": len(rows),
        "patients": int(rows["patient"].nunique()),
        "grades": {str(grade): int(count) for grade, count in rows["grade"].value_counts().sort_index().items()},
        "schemes": sorted(set(rows["scheme"])),
        "shapes": _counts(rows, columns=SIZES),
    }


def _counts(cases: pd.DataFrame, *, columns: tuple[str, ...]) -> dict[str, int]:
    """The number of cases with each combination, most frequent first: {"155x240x240": 14}."""
    known = cases.dropna(subset=list(columns))
    text = ["x".join(f"{value:.4g}" for value in row) for row in known[list(columns)].itertuples(index=False)]
    return {str(value): int(count) for value, count in pd.Series(text, dtype="str").value_counts().items()}


def _spread(values: pd.Series) -> dict[str, float | None]:
    """Minimum, median and maximum over the cases."""
    known = values.astype("float64").dropna()
    return {name: None if known.empty else float(known.agg(name)) for name in ("min", "median", "max")}


def _labels(cases: pd.DataFrame) -> dict[str, Any]:
    """The share of each label in the whole volumes of the cases with ground truth, and in the paper."""
    counted = cases[cases["has_truth"]]
    counts = {label: int(counted[f"label_{label}"].astype("float64").fillna(0).sum()) for label in LABELS}
    total = sum(counts.values())
    tumour = total - counts[0]
    merged = counted["scheme"].map(lambda scheme: SCHEMES[scheme].canonical_labels != FIVE.canonical_labels)
    return {
        "voxels": total,
        "cases": len(counted),
        # These cases have one label for necrosis and non-enhancing tumour; it is counted as necrosis.
        "cases_with_merged_labels": int(merged.astype(bool).sum()),
        "table": [
            {
                "label": label,
                "name": name,
                "voxels": counts[label],
                "share": counts[label] / total if total else None,
                "share_of_tumour": counts[label] / tumour if tumour and label else None,
                "cases": int((counted[f"label_{label}"].astype("float64") > 0).sum()),
                "paper": PAPER_SHARES[label],
            }
            for label, name in LABELS.items()
        ],
    }
