"""A chart of the cohort: how much of each tumour label every case holds."""

from typing import TYPE_CHECKING

import numpy as np

from brats_cascade.evaluation.figures import LABEL_COLOURS, new_figure, titled
from brats_cascade.labels import LABELS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def cohort_figure(cases: "pd.DataFrame", *, title: str = "") -> "Figure":
    """Draws how much of each tumour label every case holds.

    Args:
        cases: Rows of cases.parquet: case, tumour_cm3 and label_0..label_4 (voxels).
        title: Above the figure.

    Returns:
        One horizontal bar a case, largest tumour first; the 60 largest if there are more.
    """
    shown = cases.sort_values("tumour_cm3", ascending=False).head(60)
    figure = new_figure(9, 0.9 + 0.2 * len(shown))
    axes = figure.subplots()
    voxels = shown[[f"label_{label}" for label in LABEL_COLOURS]].fillna(0).to_numpy(dtype=float)
    scale = shown["tumour_cm3"].to_numpy(dtype=float) / np.maximum(voxels.sum(axis=1), 1)
    start = np.zeros(len(shown))
    for column, (label, colour) in enumerate(LABEL_COLOURS.items()):
        width = voxels[:, column] * scale
        if width.any():
            axes.barh(range(len(shown)), width, left=start, color=colour, height=0.7, label=LABELS[label])
        start = start + width
    axes.set_yticks(range(len(shown)), shown["case"])
    axes.invert_yaxis()
    axes.set(xlabel="tumour, cm³")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return titled(figure, title)
