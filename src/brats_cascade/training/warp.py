"""Random rotation, scaling and elastic bending of a slice: where each pixel of a window comes from, and windows cut so.

A warp is a function of the place in the slice, so image, labels and CNN 1's maps of a window move together, on whatever grid.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from brats_cascade.data.windows import cut_window

ANGLE, SCALE, BEND = math.radians(10), math.log(1.12), 1.5  # standard deviations: radians, log of the factor, mm
WAVES, LENGTHS = 3, (40.0, 120.0)  # of the elastic part, along each axis; wavelengths, mm


@dataclass(frozen=True)
class Warp:
    """Where the pixels of a warped slice come from.

    Attributes:
        centre: Row and column that stay where they are.
        matrix: (2, 2), from offsets from the centre to those of the source, pixels.
        frequencies: (2, waves, 2), radians per pixel, of the displacement along rows and along columns.
        phases: (2, waves).
        amplitudes: (2), pixels.
    """

    centre: tuple[float, float]
    matrix: np.ndarray
    frequencies: np.ndarray
    phases: np.ndarray
    amplitudes: np.ndarray

    def sources(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Row and column of the source of each pixel of a grid, (2, rows, columns); the centre is its own source."""
        middle = np.reshape(self.centre, (2, 1, 1))
        offsets = np.stack(np.meshgrid(rows, columns, indexing="ij")) - middle
        angles = np.einsum("awk,krc->awrc", self.frequencies, offsets) + self.phases[..., None, None]
        bent = (np.sin(angles) - np.sin(self.phases)[..., None, None]).sum(axis=1)
        return middle + np.einsum("ak,krc->arc", self.matrix, offsets) + self.amplitudes[:, None, None] * bent


def draw_warp(
    rng: np.random.Generator, *, strength: float, centre: tuple[float, float], pixel: tuple[float, float]
) -> Warp:
    """Draws a warp.

    Args:
        rng: Source of the draw.
        strength: 1: rotation by 10 degrees, scaling by 12 % and displacements of 1.5 mm, each a standard deviation; smaller
            values are shares of them.
        centre: Row and column that stay where they are.
        pixel: Its height and width, mm.
    """
    angle, log_scale = strength * rng.normal(size=2) * [ANGLE, SCALE]
    cosine, sine = math.cos(angle), math.sin(angle)
    turned = math.exp(log_scale) * np.array([[cosine, -sine], [sine, cosine]])
    size = np.asarray(pixel)
    direction, length = rng.uniform(0, 2 * np.pi, (2, WAVES)), rng.uniform(*LENGTHS, (2, WAVES))
    frequencies = 2 * np.pi / length[..., None] * np.stack([np.cos(direction), np.sin(direction)], axis=-1) * size
    phases, amplitude = rng.uniform(0, 2 * np.pi, (2, WAVES)), strength * BEND * math.sqrt(2 / WAVES)
    return Warp(centre, turned * size / size[:, None], frequencies, phases, amplitude / size)


def cut_warped(
    plane: np.ndarray,
    *,
    box: tuple[int, int, int, int],
    warp: Warp | None,
    order: int = 0,
    mode: str = "constant",
    steps: Sequence[int] = (1, 1),
    margin: int = 0,
) -> np.ndarray:
    """Copies a window out of a plane, through a warp if there is one.

    Args:
        plane: Array (rows, columns) or (rows, columns, channels).
        box: Top, left, rows, columns of the window, in elements of the plane; it may reach over the edge.
        warp: In pixels of the slice.
        order: Of the interpolation: 0 takes the nearest element, 1 is linear.
        mode: What lies outside the plane: "constant" for zeros, "edge" for the nearest value.
        steps: Pixels of the slice in an element of the plane.
        margin: Elements of the plane before the slice begins.

    Returns:
        New array (rows, columns, ...); float32 if it is interpolated linearly, else of the plane's type.
    """
    if warp is None:
        return cut_window(plane, top=box[0], left=box[1], rows=box[2], columns=box[3], mode=mode)
    starts, counts, step = box[:2], box[2:], np.asarray(steps).reshape(2, 1, 1)
    places = [
        (np.arange(start, start + count) - margin + 0.5) * side - 0.5
        for start, count, side in zip(starts, counts, steps, strict=True)
    ]
    sources = (warp.sources(*places) + 0.5) / step - 0.5 + margin
    kind = np.float32 if order else plane.dtype
    channels = np.asarray(plane if plane.ndim == 3 else plane[..., None], kind).transpose(2, 0, 1)
    outside = "nearest" if mode == "edge" else "grid-constant"
    found = [ndimage.map_coordinates(one, sources, output=kind, order=order, mode=outside) for one in channels]
    return np.stack(found, axis=-1) if plane.ndim == 3 else found[0]
