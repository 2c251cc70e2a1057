"""Charts of agreement: predicted with true volumes, and probabilities with how often they are right."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from brats_cascade.drawing.figures import INK, PALE, REGION_COLOURS, new_figure, titled
from brats_cascade.labels import REGIONS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def bland_altman(cases: "pd.DataFrame", *, agreement: Mapping[str, Mapping[str, float]], title: str = "") -> "Figure":
    """Draws predicted minus true volume of cases.csv over their mean, one panel per region and one dot per case.

    `agreement` is region -> bias and limits, from `summary.volume_agreement`: a line, and dashed ones.
    """
    figure = new_figure(9, 2.9)
    for axes, region in zip(figure.subplots(1, len(REGIONS)), REGIONS, strict=True):
        true, found = (cases[f"{region}_{kind}_cm3"] for kind in ("truth", "predicted"))
        axes.axhline(0, color=PALE, zorder=0)
        for key, style in (("volume_bias", "-"), ("volume_low", "--"), ("volume_high", "--")):
            if key in agreement[region]:
                axes.axhline(agreement[region][key], color=INK, linewidth=1, linestyle=style)
        axes.plot((true + found) / 2, found - true, "o", color=REGION_COLOURS[region], markersize=5)
        axes.set_title(region, fontsize=10, color=INK)
        axes.set(xlabel="mean of both, cm³")
    figure.axes[0].set_ylabel("predicted - true, cm³")
    return titled(figure, title)


def reliability_diagram(curves: Mapping[str, Sequence[np.ndarray]], *, title: str = "") -> "Figure":
    """Draws the share of right voxels over the mean probability of each bin; on the diagonal probabilities are true.

    `curves` is name -> voxels, sum of probabilities and number of right voxels per bin. Names that begin alike before a
    comma share a panel.
    """
    panels = list(dict.fromkeys(name.partition(", ")[0] for name in curves))
    figure = new_figure(3.4 * len(panels), 3.3)
    for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        axes.plot([0, 1], [0, 1], color=PALE, zorder=0)
        for name, (voxels, confidence, right) in curves.items():
            of, _, kind = name.partition(", ")
            if of == panel:
                held, colour = voxels > 0, "#DC267F" if kind else INK
                places = confidence[held] / voxels[held], right[held] / voxels[held]
                axes.plot(*places, "o-", color=colour, markersize=4, label=kind or "as computed")
        axes.set_title(panel, fontsize=10, color=INK)
        axes.set(xlabel="mean probability of the label", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.02))
        axes.legend(frameon=False, fontsize=8)
    return titled(figure, title)
