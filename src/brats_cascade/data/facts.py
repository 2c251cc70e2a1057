"""The columns of the per-case table, data/cases.parquet, and how the values of one case are measured."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from brats_cascade import MODALITIES
from brats_cascade.data.case import Case
from brats_cascade.errors import printable
from brats_cascade.labels import LABELS

SIZES, SPACINGS = ("slices", "rows", "columns"), ("spacing_slice", "spacing_row", "spacing_column")
STATISTICS = ("min", "p01", "p50", "p99", "max", "mean", "std")

# Column -> pandas type. An unknown value is "", <NA> or NaN.
COLUMNS: Mapping[str, str] = {
    **dict.fromkeys(("case", "patient", "grade", "release", "scheme", "folder", "namesake", "modalities"), "str"),
    "traces": "str",
    **{"volumes": "Int64", "has_truth": "bool", "problem": "str"},
    **dict.fromkeys(SIZES, "Int64"),
    **dict.fromkeys(SPACINGS, "float64"),
    **{
        "same_grid": "boolean",
        "finite": "boolean",
        "brain_fraction": "float64",
        "labels": "str",
        "unknown_labels": "str",
    },
    **{f"label_{label}": "Int64" for label in LABELS},
    "tumour_cm3": "float64",
    "tumour_outside_brain": "Int64",
    **{f"{modality}_{name}": "float64" for modality in MODALITIES for name in STATISTICS},
    "voxels_hash": "str",
    "stored": "bool",
}


def identity(case: Case) -> dict[str, Any]:
    """The columns that are known before any file is read."""
    return {
        "case": case.name,
        "patient": case.patient,
        "grade": case.grade,
        "release": case.release,
        "scheme": case.scheme,
        "folder": str(case.folder),
        "namesake": case.namesake,
        "modalities": ",".join(case.images),
        "volumes": len(case.files),
        "has_truth": case.truth is not None,
        "problem": "; ".join(case.problems),
        "stored": False,
    }


def table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Builds the table: one row per case, sorted by case, with all columns in their types; missing values are unknown."""
    ordered = sorted(rows, key=lambda row: row["case"])
    data = {}
    for column, kind in COLUMNS.items():
        values = [row.get(column) for row in ordered]
        if kind == "str":
            values = ["" if pd.isna(value) else printable(value) for value in values]
        data[column] = pd.Series(values, dtype=kind)
    return pd.DataFrame(data)
