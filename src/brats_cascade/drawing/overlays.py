"""Images of one case with outlines: a slice in four modalities with ground truth and prediction, or a page of slices."""

from typing import TYPE_CHECKING

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.preprocess import bounding_box
from brats_cascade.drawing.figures import REGION_COLOURS, new_figure
from brats_cascade.labels import REGIONS, region_mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {"flair": "FLAIR", "t1": "T1", "t1c": "T1c", "t2": "T2"}
MARGIN = 4  # margin around the brain, pixels
# What lies left and right in the picture, as radiologists expect it: the patient as seen from the feet or from the front, or
# from his left.
SIDES = {"axial": "RL", "coronal": "RL", "sagittal": "AP"}


def overlay(
    image: np.ndarray,
    *,
    truth: np.ndarray | None = None,
    prediction: np.ndarray | None = None,
    first_slice: int = 0,
    axis: str = "axial",
    title: str = "",
) -> "Figure":
    """Draws the `best_slice` of a case: one row for the ground truth, one for the prediction, one column per modality.

    The patient's left is on the right, marked by letters.

    Args:
        image: float32 (slices, rows, columns, modalities), exactly 0 outside the brain.
        truth: Canonical labels (slices, rows, columns); if None, its row is omitted.
        prediction: Likewise, for the prediction.
        first_slice: Number of the first slice given, as in `slice_table`; only for the heading.
        axis: Slicing axis: "axial", "coronal" or "sagittal"; for the heading and the letters.
        title: Title of the figure, such as the case's name and scores.
    """
    rows = {name: labels for name, labels in (("truth", truth), ("prediction", prediction)) if labels is not None}
    index = best_slice(truth, prediction, slices=len(image))
    filled = (image[index] != 0).any(axis=-1)
    box = bounding_box(filled if filled.any() else ~filled, margin=MARGIN)
    panel = image[index][box]
    outlines: dict[str, np.ndarray | None] = {name: labels[index][box] for name, labels in rows.items()}
    outlines = outlines or {"": None}
    height = 2.25 * panel.shape[0] / panel.shape[1]
    figure = _on_black(
        9.4, height * len(outlines) + 0.85, heading=f"{title}   {axis} slice {first_slice + index}".lstrip()
    )
    axes = figure.subplots(len(outlines), len(MODALITIES), squeeze=False)
    for line, (name, labels) in zip(axes, outlines.items(), strict=True):
        for column, (place, modality) in enumerate(zip(line, MODALITIES, strict=True)):
            _draw_panel(place, pixels=panel[..., column], labels=labels, axis=axis)
            if place in axes[0]:
                place.set_title(NAMES[modality], color="white", fontsize=10)
        line[0].set_ylabel(name, color="white", fontsize=10)
    return figure


def best_slice(truth: np.ndarray | None, prediction: np.ndarray | None, *, slices: int) -> int:
    """The slice with the largest tumour in the ground truth, else in the prediction, else the middle one of `slices`."""
    for labels in (truth, prediction):
        if labels is not None and labels.any():
            return int(np.argmax((labels > 0).sum(axis=(1, 2))))
    return slices // 2


def _draw_panel(axes: "Axes", *, pixels: np.ndarray, labels: np.ndarray | None, axis: str) -> None:
    """Draws one slice (rows, columns) in grey with the outlines of its regions, and the letters of both sides.

    The last column of the canonical frame is the patient's right, and is drawn on the left.
    """
    inside = pixels != 0
    low, high = np.percentile(pixels[inside], [1, 99.5]) if inside.any() else (0.0, 1.0)
    shown = np.where(inside, pixels, low)
    axes.imshow(shown, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), origin="lower", interpolation="bilinear")
    for region in REGIONS:
        mask = np.zeros(pixels.shape, bool) if labels is None else region_mask(labels, region=region)
        if mask.any():
            padded = np.pad(mask, 1).astype(float)
            rows, columns = (np.arange(-1, size + 1) for size in mask.shape)
            axes.contour(columns, rows, padded, levels=[0.5], colors=[REGION_COLOURS[region]], linewidths=1.3)
    axes.set(xticks=[], yticks=[], xlim=(pixels.shape[1] - 0.5, -0.5), ylim=(-0.5, pixels.shape[0] - 0.5))
    axes.spines[:].set_visible(False)
    for text, x in zip(SIDES[axis], (0.04, 0.96), strict=True):
        axes.text(x, 0.98, text, transform=axes.transAxes, color="white", fontsize=8, ha="center", va="top")


def _on_black(width: float, height: float, *, heading: str) -> "Figure":
    """A black figure with a heading, and a legend of the outlines' colours below."""
    from matplotlib.lines import Line2D

    figure = new_figure(width, height)
    figure.set_facecolor("black")
    figure.suptitle(heading, x=0.01, ha="left", color="white", fontsize=10)
    lines = [Line2D([], [], color=colour, linewidth=2, label=region) for region, colour in REGION_COLOURS.items()]
    figure.legend(
        handles=lines, loc="outside lower left", ncols=len(lines), frameon=False, labelcolor="white", fontsize=9
    )
    return figure


def montage(
    image: np.ndarray,
    *,
    labels: np.ndarray,
    panels: tuple[int, int] = (4, 6),
    first_slice: int = 0,
    axis: str = "axial",
    title: str = "",
) -> "Figure":
    """Draws slices spread evenly over the tumour, or over the brain if there is none, from inferior to superior.

    The arguments are as in `overlay`; `panels` is the number of rows and columns of slices, in FLAIR.
    """
    channel = image[..., MODALITIES.index("flair")]
    shown = montage_slices(channel, labels=labels, count=panels[0] * panels[1])
    size = (1.55 * panels[1], 1.55 * panels[0] * channel.shape[1] / channel.shape[2] + 0.7)
    figure = _on_black(*size, heading=f"{title}   FLAIR, {axis}")
    places = figure.subplots(*panels, squeeze=False).ravel()
    for place in places[len(shown) :]:
        place.set_visible(False)
    for place, index in zip(places, shown, strict=False):
        _draw_panel(place, pixels=channel[index], labels=labels[index], axis=axis)
        place.text(0.03, 0.03, str(first_slice + index), transform=place.transAxes, color="white", fontsize=8)
    return figure


def montage_slices(channel: np.ndarray, *, labels: np.ndarray, count: int) -> list[int]:
    """Up to `count` slices, evenly spread from the first to the last with tumour, else with brain; ascending."""
    for mask in (labels > 0, channel != 0):
        held = np.flatnonzero(mask.any(axis=(1, 2)))
        if len(held):
            places = np.linspace(held[0], held[-1], min(count, int(held[-1] - held[0]) + 1))
            return np.unique(places.round().astype(int)).tolist()
    return [len(channel) // 2]
