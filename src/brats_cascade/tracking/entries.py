"""What becomes of tables in MLflow: lists of (metric, value, step), plain and without a server."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Entry = tuple[str, Any, int]


def history_entries(history: "pd.DataFrame", *, prefix: str = "") -> Iterator[Entry]:
    """Training curves: `phase1/loss` and so on, behind a prefix, the step counted from the start of phase 1.

    The Dice comes first: MLflow's compare page draws the metric logged first, and losses under other weights do not compare.
    """
    names = [name for name in history.columns if name not in ("phase", "check", "step")]
    names.sort(key=lambda name: name != "validation_complete")
    for row in history.to_dict("records"):
        for name in names:
            yield f"{prefix}phase{int(row['phase'])}/{name}", row[name], int(row["step"])


def slice_entries(slices: "pd.DataFrame") -> Iterator[Entry]:
    """Curves over the slices, one metric a score and case: `slice_complete_f1/CASE`, whose step is the slice."""
    pixels = ("case", "slice", "truth_pixels", "predicted_pixels")
    names = [name for name in slices.columns if name not in pixels]
    for row in slices.to_dict("records"):
        for name in names:
            yield f"slice_{name}/{row['case']}", row[name], int(row["slice"])
