"""Charts of training and scores. Every function returns a matplotlib Figure and changes no global state.

The colours are fixed and distinguishable for colour-blind readers (IBM's palette), on white and over grey images.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brats_cascade.labels import LABELS, REGIONS
from brats_cascade.shared import written_whole

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REGION_COLOURS: Mapping[str, str] = {"complete": "#648FFF", "core": "#FFB000", "enhancing": "#DC267F"}
LABEL_COLOURS: Mapping[int, str] = {1: "#785EF0", 2: "#648FFF", 3: "#FFB000", 4: "#DC267F"}
INK, PALE = "#333333", "#d9d9d9"
# Slicing axis -> the way from the first slice to the last.
TOWARDS = {"axial": "inferior to superior", "coronal": "posterior to anterior", "sagittal": "left to right"}


def learning_curves(history: "pd.DataFrame", *, title: str = "") -> "Figure":
    """Draws losses and validation Dice of history.csv over the steps, side by side, with a line at the start of phase 2."""
    figure = new_figure(9, 3.1)
    left, right = figure.subplots(1, 2)
    marker = "o" if len(history) < 40 else ""
    for column, colour, name in (("loss", INK, "training"), ("validation_loss", "#785EF0", "validation")):
        left.plot(history["step"], history[column], color=colour, marker=marker, markersize=3, label=name)
    left.set(xlabel="step", ylabel="loss")
    for region, colour in REGION_COLOURS.items():
        values = history[f"validation_{region}"]
        right.plot(history["step"], values, color=colour, marker=marker, markersize=3, label=region)
    right.set(xlabel="step", ylabel="Dice, validation slices", ylim=(-0.02, 1.02))
    first = history.loc[history["phase"] == 1, "step"]
    for axes in (left, right):
        if len(first) and (history["phase"] == 2).any():
            axes.axvline(first.max(), color=PALE, zorder=0)
            axes.annotate(
                " phase 2", (first.max(), 1), xycoords=("data", "axes fraction"), va="top", fontsize=8, color="#777777"
            )
        axes.legend(frameon=False, fontsize=8)
    return titled(figure, title)


def slice_curve(slices: "pd.DataFrame", *, axis: str = "axial", title: str = "") -> "Figure":
    """Draws the F1 of every region over the slices of one case's slice table, above the amount of tumour.

    `axis` is the slicing axis.
    """
    figure = new_figure(9, 2.8)
    axes = figure.subplots()
    held = slices[(slices["truth_pixels"] > 0) | (slices["predicted_pixels"] > 0)]
    slices = slices if held.empty else slices.loc[held.index.min() : held.index.max()]
    area = axes.twinx()
    area.fill_between(slices["slice"], slices["truth_pixels"], color=PALE, alpha=0.6, linewidth=0, label="tumour")
    area.set_ylabel("tumour in the ground truth, pixels", color="#888888", fontsize=8)
    area.tick_params(colors="#888888")
    area.set_ylim(bottom=0)
    area.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.set_zorder(area.get_zorder() + 1)
    axes.patch.set_visible(False)
    for region, colour in REGION_COLOURS.items():
        axes.plot(slices["slice"], slices[f"{region}_f1"], color=colour, linewidth=1.8, label=region)
    axes.set(xlabel=f"slice ({axis}: {TOWARDS[axis]})", ylabel="F1", ylim=(-0.02, 1.02))
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="lower center")
    return titled(figure, title)


def class_weight_figure(weights: "pd.DataFrame", *, title: str = "") -> "Figure":
    """Draws class_weights.csv: the weight of each label over its slices, and the number of slices that contain it.

    Weights are on a log scale, with one dot per slice and the median marked.
    """
    columns = [name for name in weights.columns if name.startswith("weight_")]
    names = [LABELS[int(name.removeprefix("weight_"))].replace("everything else", "background") for name in columns]
    names = [name.replace(" tumour", "") for name in names]
    figure = new_figure(9, 0.9 + 0.42 * len(columns))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    generator = np.random.default_rng(0)
    for place, column in enumerate(columns):
        values = weights[column].dropna().to_numpy(dtype=float)
        height = place + generator.uniform(-0.22, 0.22, len(values))
        left.plot(values, height, "o", color="#648FFF", markersize=3, alpha=0.35, markeredgewidth=0)
        if len(values):
            left.plot([np.median(values)] * 2, [place - 0.34, place + 0.34], color=INK, linewidth=1.8)
        right.barh(place, len(values) / max(len(weights), 1), color="#648FFF", height=0.55)
    left.set(xscale="log", xlabel="weight in the loss, one dot per slice; bar: median")
    left.set_yticks(range(len(columns)), names)
    left.invert_yaxis()
    right.set(xlim=(0, 1), xlabel="share of slices with it")
    return titled(figure, title)


def dice_strip(tables: Mapping[str, "pd.DataFrame"]) -> "Figure":
    """Draws the Dice of every test case, one panel per region and one line per experiment, so that many names stay legible.

    `tables` are cases.csv by experiment. Filled dots are high grade, hollow ones low or unknown; a bar marks the mean.
    """
    figure = new_figure(9.4, 0.9 + 0.34 * len(tables))
    panels = figure.subplots(1, len(REGIONS), sharey=True)
    for axes, region in zip(panels, REGIONS, strict=True):
        colour = REGION_COLOURS[region]
        for place, table in enumerate(tables.values()):
            _strip(axes, place=place, values=table[f"{region}_dice"], high=table["grade"] == "high", colour=colour)
        axes.set_title(region, fontsize=10, color=INK)
        axes.set(xlim=(-0.03, 1.03), ylim=(len(tables) - 0.4, -0.6), xlabel="Dice per case")
        axes.grid(axis="x", color=PALE, linewidth=0.6)
        axes.set_axisbelow(True)
    panels[0].set_yticks(range(len(tables)), tables)
    return titled(figure)


def bland_altman(cases: "pd.DataFrame", *, agreement: Mapping[str, Mapping[str, float]], title: str = "") -> "Figure":
    """Draws predicted minus true volume of cases.csv over their mean, one panel per region and one dot per case.

    `agreement` is region -> bias and limits, from `summary.volume_agreement`, drawn as a solid and two dashed lines.
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
    """Draws the share of correct voxels over the mean probability of each bin; perfect calibration is the diagonal.

    `curves` is name -> voxels, sum of probabilities and number of correct voxels per bin. Names with the same text before a
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
        axes.set(
            xlabel="mean probability of the label", ylabel="share of correct voxels", xlim=(0, 1.02), ylim=(0, 1.02)
        )
        axes.legend(frameon=False, fontsize=8)
    return titled(figure, title)


def write_figures(folder: Path, *, figures: Mapping[str, "Figure"], dpi: int = 130) -> dict[str, Path]:
    """Writes figures as NAME.png to a folder, which is created if necessary; returns name -> path."""
    paths = {name: folder / f"{name}.png" for name in figures}
    for name, figure in figures.items():
        with written_whole(paths[name]) as draft:
            figure.savefig(draft, dpi=dpi, metadata={"Software": ""})
    return paths


def new_figure(width: float, height: float) -> "Figure":
    """A Figure (inches) with automatic layout that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _strip(axes: "Axes", *, place: int, values: "pd.Series", high: "pd.Series", colour: str) -> None:
    spread = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
    dice, filled = values.to_numpy(dtype=float), high.to_numpy(dtype=bool)
    for chosen, face in ((filled, colour), (~filled, "white")):
        axes.plot(dice[chosen], place + spread[chosen], "o", markersize=5, markerfacecolor=face, markeredgecolor=colour)
    axes.plot([dice.mean()] * 2, [place - 0.36, place + 0.36], color=INK, linewidth=2)


def titled(figure: "Figure", title: str = "") -> "Figure":
    """Gives a chart plain axes, and a title if there is one."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.xaxis.label.set_fontsize(9)
        axes.yaxis.label.set_fontsize(9)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK)
    return figure
