"""The grids of the coarse cascade (cells of about 4 mm in 3-D and about 2 mm within a slice) and the values of their cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

COARSE, FINE = 4.0, 2.0  # cell sides, mm
SLABS = 2  # neighbouring slabs on either side


@dataclass(frozen=True)
class Grid:
    """The size of the cells in voxels; cells are counted from the first voxel of the stored volume.

    Attributes:
        coarse: Voxels per cell of the 4 mm grid (slices, rows, columns).
        fine: Pixels per cell of the 2 mm grid (rows, columns).
        apart: Distance, in slices, between a slice and the neighbours that CNN 2 sees with it.
    """

    coarse: tuple[int, int, int]
    fine: tuple[int, int]
    apart: int

    @classmethod
    def of(cls, spacing: Sequence[float]) -> "Grid":
        """The grids for a voxel spacing (slice, row, column), mm; cells have the nearest whole number of voxels, at least 1."""
        slices, rows, columns = (max(1, int(COARSE / size + 0.5)) for size in spacing)
        apart, *fine = (max(1, int(FINE / size + 0.5)) for size in spacing)
        return cls((slices, rows, columns), (fine[0], fine[1]), apart)


def block_means(volume: np.ndarray, *, steps: Sequence[int]) -> np.ndarray:
    """Means over blocks along the first axes; blocks that extend past the end are padded with zeros.

    Returns:
        float32 (ceil(a / steps[0]), ceil(b / steps[1]), ..., rest) for a volume (a, b, ..., rest).
    """
    found = volume
    for axis, step in enumerate(steps):
        if step == 1:
            continue
        count = -(-found.shape[axis] // step)
        shape = (*found.shape[:axis], count, *found.shape[axis + 1 :])
        total = np.zeros(shape, dtype=np.float32)
        for place in range(step):
            part = found[(slice(None),) * axis + (slice(place, None, step),)]
            total[(slice(None),) * axis + (slice(0, part.shape[axis]),)] += part
        found = total
    return found.astype(np.float32, copy=False) / np.float32(np.prod(steps))


def block_centres(volume: np.ndarray, *, steps: Sequence[int]) -> np.ndarray:
    """The middle voxel of each block, or the last voxel of a block that is cut off before its middle."""
    found = volume
    for axis, step in enumerate(steps):
        size = found.shape[axis]
        found = found.take(np.minimum(np.arange(step // 2, step // 2 + size, step), size - 1), axis=axis)
    return found


def coarse_slabs(image: np.ndarray, *, brain: np.ndarray, grid: Grid) -> np.ndarray:
    """The input of the coarse cascade's CNN 1: means of the image and of the brain mask in each slab and its neighbours.

    Returns:
        float32 (slabs, rows, columns, 5 * (modalities + 1)): modalities and brain of the slab two below, one below, the
        slab itself, one above and two above; zeros beyond the volume.
    """
    means = block_means(image, steps=grid.coarse)
    share = block_means(brain, steps=grid.coarse)
    one = np.concatenate([means, share[..., None]], axis=-1)
    wide = np.pad(one, ((SLABS, SLABS), (0, 0), (0, 0), (0, 0)))
    seen = [wide[place : place + len(one)] for place in range(2 * SLABS + 1)]
    return np.concatenate([part if place == SLABS else np.zeros_like(part) for place, part in enumerate(seen)], axis=-1)


def maps_on_fine(
    maps: np.ndarray, *, grid: Grid, layers: Sequence[int], rows: tuple[int, int], columns: tuple[int, int]
) -> np.ndarray:
    """CNN 1's maps of some slices on the 2 mm grid, interpolated linearly between the centres of the 4 mm cells.

    Args:
        maps: (slabs, rows, columns, classes) on the 4 mm grid.
        grid: The case's grid.
        layers: Slices.
        rows: First cell of the 2 mm grid, and one past the last; cells beyond the edge get the nearest value.
        columns: Likewise.

    Returns:
        float32 (layers, cells, cells, classes).
    """
    places = [
        (np.asarray(layers) + 0.5) / grid.coarse[0],
        (np.arange(*rows) + 0.5) * grid.fine[0] / grid.coarse[1],
        (np.arange(*columns) + 0.5) * grid.fine[1] / grid.coarse[2],
    ]
    found = maps
    for axis, place in enumerate(places):
        place = np.clip(place - 0.5, 0, maps.shape[axis] - 1)
        low = place.astype(int)
        share = (place - low).astype(np.float32).reshape(-1, *(1,) * (3 - axis))
        first = found.take(low, axis=axis).astype(np.float32)
        second = found.take(np.minimum(low + 1, maps.shape[axis] - 1), axis=axis).astype(np.float32)
        found = first + (second - first) * share
    return found
