"""Random rotation, scaling and elastic deformation of a slice, and windows cut from a deformed slice.

A warp is a function of the position in the slice, so the image, labels and CNN 1's maps of a window are deformed alike, on
any grid.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from brats_cascade.data.windows import cut_window

ANGLE, SCALE, BEND = math.radians(10), math.log(1.12), 1.5  # standard deviations: radians, log of the factor, mm
WAVES, LENGTHS = 3, (40.0, 120.0)  # waves of the elastic part along each axis; wavelengths, mm


@dataclass(frozen=True)
class Warp:
    """The source position of each pixel in a warped slice.

    Attributes:
        centre: Row and column that stay in place.
        matrix: (2, 2), from offsets from the centre to those of the source, pixels.
        frequencies: (2, waves, 2), radians per pixel, of the displacement along rows and along columns.
        phases: (2, waves).
        amplitudes: (2), pixels.
        known: Cache of interpolation positions and weights, shared by the slices of a window and by labels and brain.
    """

    centre: tuple[float, float]
    matrix: np.ndarray
    frequencies: np.ndarray
    phases: np.ndarray
    amplitudes: np.ndarray
    known: dict[tuple[object, ...], list[tuple[np.ndarray, np.ndarray]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def sources(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The source row and column of each pixel of a grid, (2, rows, columns); the centre is its own source."""
        middle = np.reshape(self.centre, (2, 1, 1))
        offsets = np.stack(np.meshgrid(rows, columns, indexing="ij")) - middle
        angles = np.einsum("awk,krc->awrc", self.frequencies, offsets) + self.phases[..., None, None]
        bent = (np.sin(angles) - np.sin(self.phases)[..., None, None]).sum(axis=1)
        return middle + np.einsum("ak,krc->arc", self.matrix, offsets) + self.amplitudes[:, None, None] * bent


def draw_warp(
    rng: np.random.Generator, *, strength: float, centre: tuple[float, float], pixel: tuple[float, float]
) -> Warp:
    """Draws a warp.

    At strength 1 the standard deviations are 10 degrees of rotation, 12 % of scaling and displacements of 1.5 mm; smaller
    strengths scale them down. The centre (row, column) stays in place. `pixel` is a pixel's height and width, mm.
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
    """Copies a window from a plane (rows, columns) or (rows, columns, channels), through a warp if there is one.

    Args:
        plane: The plane.
        box: Top, left, rows, columns of the window, in elements of the plane; may extend beyond the edge.
        warp: The warp, in pixels of the slice, or None.
        order: Interpolation order: 0 takes the nearest element, 1 is linear.
        mode: Values outside the plane: "constant" for zeros, "edge" for the nearest value.
        steps: Pixels of the slice per element of the plane.
        margin: Elements of the plane before the slice begins.

    Returns:
        New array (rows, columns, ...); float32 if interpolated linearly, otherwise of the plane's type.
    """
    if warp is None:
        return cut_window(plane, top=box[0], left=box[1], rows=box[2], columns=box[3], mode=mode)
    asked = (*box, *steps, margin, plane.shape[:2], order, mode)
    if asked not in warp.known:
        warp.known[asked] = _elements(
            _sources(warp, box=box, steps=steps, margin=margin), sides=plane.shape[:2], order=order, mode=mode
        )
    flat, channels = np.ascontiguousarray(plane).reshape(-1, *plane.shape[2:]), (1,) * (plane.ndim - 2)
    kind = np.float32 if order else plane.dtype
    found = np.zeros((box[2] * box[3], *plane.shape[2:]), kind)
    for where, share in warp.known[asked]:
        found += flat[where] * share.astype(kind).reshape(-1, *channels)
    return found.reshape(*box[2:], *plane.shape[2:])


def _sources(warp: Warp, *, box: tuple[int, int, int, int], steps: Sequence[int], margin: int) -> np.ndarray:
    """The source positions of a window's elements, (2, rows, columns), in elements of the plane."""
    step = np.asarray(steps).reshape(2, 1, 1)
    places = [
        (np.arange(start, start + count) - margin + 0.5) * side - 0.5
        for start, count, side in zip(box[:2], box[2:], steps, strict=True)
    ]
    return (warp.sources(*places) + 0.5) / step - 0.5 + margin


def _elements(
    sources: np.ndarray, *, sides: tuple[int, int], order: int, mode: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The elements that are summed for a window: flat positions in the plane and weights, float32, each (rows * columns)."""
    if mode == "edge":
        sources = np.clip(sources, 0, np.reshape(sides, (2, 1, 1)) - 1)
    low = np.floor(sources if order else sources + 0.5).astype(np.int64).reshape(2, -1)
    above = sources.reshape(2, -1) - low
    found = []
    for corner in ((0, 0), (0, 1), (1, 0), (1, 1)) if order else ((0, 0),):
        places, share = [], np.ones(low.shape[1])
        for axis, side in enumerate(sides):
            place = low[axis] + corner[axis]
            part = (above[axis] if corner[axis] else 1 - above[axis]) if order else 1.0
            share *= np.where((place >= 0) & (place < side), part, 0.0)
            places.append(np.clip(place, 0, side - 1))
        found.append((places[0] * sides[1] + places[1], share.astype(np.float32)))
    return found
