"""A page of slices of one case with the outlines of its segmentation."""

from typing import TYPE_CHECKING

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.drawing.figures import new_figure
from brats_cascade.drawing.overlays import draw_legend, draw_panel, draw_sides

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def montage(
    image: np.ndarray,
    *,
    labels: np.ndarray,
    modality: str = "flair",
    panels: tuple[int, int] = (4, 6),
    first_slice: int = 0,
    axis: str = "axial",
    title: str = "",
) -> "Figure":
    """Draws slices spread evenly over the tumour, or over the brain where there is none, inferior ones first.

    The patient's left is on the right, and letters say so.

    Args:
        image: float32 (slices, rows, columns, modalities), exactly 0 outside the brain.
        labels: Canonical labels (slices, rows, columns).
        modality: Which one is shown.
        panels: Rows and columns of the page.
        first_slice: Number of the first slice given.
        axis: How the slices are cut, for the heading.
        title: Above the page.
    """
    channel = image[..., MODALITIES.index(modality)]
    shown = montage_slices(channel, labels=labels, count=panels[0] * panels[1])
    figure = new_figure(1.55 * panels[1], 1.55 * panels[0] * channel.shape[1] / channel.shape[2] + 0.7)
    figure.set_facecolor("black")
    places = figure.subplots(*panels, squeeze=False).ravel()
    for place in places[len(shown) :]:
        place.set_visible(False)
    for place, index in zip(places, shown, strict=False):
        draw_panel(place, pixels=channel[index], labels=labels[index])
        draw_sides(place, axis=axis)
        place.text(0.03, 0.03, str(first_slice + index), transform=place.transAxes, color="white", fontsize=8)
    figure.suptitle(f"{title}   {modality.upper()}, {axis}", x=0.01, ha="left", color="white", fontsize=10)
    draw_legend(figure)
    return figure


def montage_slices(channel: np.ndarray, *, labels: np.ndarray, count: int) -> list[int]:
    """Up to `count` slices, evenly spread from the first to the last with tumour, else with brain; ascending."""
    held = np.flatnonzero((labels > 0).any(axis=(1, 2)))
    if not len(held):
        held = np.flatnonzero((channel != 0).any(axis=(1, 2)))
    if not len(held):
        return [len(channel) // 2]
    first, last = int(held[0]), int(held[-1])
    return [
        int(place) for place in np.unique(np.linspace(first, last, min(count, last - first + 1)).round().astype(int))
    ]
