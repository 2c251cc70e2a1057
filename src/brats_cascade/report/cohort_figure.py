"""Charts of the data: tumours of all cases, intensities of the modalities, labels of the patch sets."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from brats_cascade.drawing.figures import INK, LABEL_COLOURS, PALE, new_figure, titled
from brats_cascade.report.render import class_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 60  # cases in a chart
PERCENTILES = {"p01": "1st percentile", "p50": "median", "p99": "99th percentile"}


def cohort_figure(cases: pd.DataFrame) -> "Figure":
    """Draws the amount of each tumour label per case: one bar per case, largest tumour first, at most `MOST`."""
    shown = cases.sort_values("tumour_cm3", ascending=False).head(MOST)
    figure = new_figure(9, 0.9 + 0.2 * len(shown))
    axes = figure.subplots()
    voxels = shown[[f"label_{label}" for label in LABEL_COLOURS]].fillna(0).to_numpy(dtype=float)
    scale = shown["tumour_cm3"].to_numpy(dtype=float) / np.maximum(voxels.sum(axis=1), 1)
    start = np.zeros(len(shown))
    names = class_names([label for label, count in zip(LABEL_COLOURS, voxels.sum(axis=0), strict=True) if count])
    for column, (label, colour) in enumerate(LABEL_COLOURS.items()):
        width = voxels[:, column] * scale
        if label in names:
            axes.barh(range(len(shown)), width, left=start, color=colour, height=0.7, label=names[label])
        start = start + width
    axes.set_yticks(range(len(shown)), shown["case"])
    axes.invert_yaxis()
    axes.set(xlabel="tumour, cm³")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return titled(figure, "")


def intensity_figure(intensities: Mapping[str, Mapping[str, Mapping[str, float]]]) -> "Figure":
    """Draws the spread of raw brain intensities over the cases.

    There is one row per modality, with a line from minimum to maximum and a dot at the median over cases for each percentile.
    `intensities`: modality -> key of PERCENTILES -> "min", "median", "max" over the cases.
    """
    figure = new_figure(9, 0.7 + 0.5 * len(intensities))
    axes = figure.subplots()
    shades = {"p01": "#9bb3ff", "p50": "#648FFF", "p99": "#3a55b5"}
    lowest = np.inf
    for row, statistics in enumerate(intensities.values()):
        for offset, (key, colour) in zip((-0.22, 0.0, 0.22), shades.items(), strict=True):
            if key in statistics:
                low, middle, high = (np.array(statistics[key][part], dtype=float) for part in ("min", "median", "max"))
                label, lowest = PERCENTILES[key] if row == 0 else None, np.fmin(lowest, low)
                axes.plot([low, high], [row + offset] * 2, color=colour, linewidth=3, label=label)
                axes.plot(middle, row + offset, "o", color=INK, markersize=4)
    axes.set_yticks(range(len(intensities)), list(intensities))
    axes.invert_yaxis()
    axes.set_xscale("log" if lowest > 0 else "symlog")
    axes.grid(axis="x", color=PALE, linewidth=0.5)
    axes.set(xlabel="intensity in the brain, as in the files")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return titled(figure, "")


def patch_figure(counts: Mapping[str, Mapping[str, int]]) -> "Figure":
    """Draws the share of each label in each patch set (set -> label, as text, -> number of centres): one bar per set."""
    figure = new_figure(9, 0.9 + 0.35 * len(counts))
    axes = figure.subplots()
    colours = {0: PALE, **LABEL_COLOURS}
    names = class_names([label for label in colours if any(str(label) in held for held in counts.values())])
    for row, held in enumerate(counts.values()):
        start, total = 0.0, max(1, sum(held.values()))
        for label, colour in colours.items():
            share = 100 * held.get(str(label), 0) / total
            if str(label) in held:
                axes.barh(row, share, left=start, color=colour, height=0.7, label=names[label] if row == 0 else None)
            start += share
    axes.set_yticks(range(len(counts)), list(counts))
    axes.invert_yaxis()
    axes.set(xlabel="share of the centres, %", xlim=(0, 100))
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return titled(figure, "")
