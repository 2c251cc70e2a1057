"""The grid of the coarse cascade, cells of about 2 mm, and the values of its cells."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SIDE = 2.0  # mm
SLABS = 2  # neighbouring slabs on either side


class Cell(NamedTuple):
    """The size of a cell in voxels; cells are counted from the first voxel of the stored volume."""

    slices: int
    rows: int
    columns: int

    @classmethod
    def of(cls, spacing: Sequence[float]) -> "Cell":
        """The cell for a voxel spacing (slice, row, column), mm: the nearest whole number of voxels, at least 1."""
        return cls(*(max(1, int(SIDE / size + 0.5)) for size in spacing))

    @property
    def pixels(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns


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


def coarse_cells(image: np.ndarray, *, brain: np.ndarray, cell: Cell) -> np.ndarray:
    """Means of the image and of the brain mask in each cell, float32 (slabs, rows, columns, modalities + 1)."""
    means, share = block_means(image, steps=cell), block_means(brain, steps=cell)
    return np.concatenate([means, share[..., None]], axis=-1)


def slabs_of(cells: np.ndarray) -> np.ndarray:
    """The cells of each slab and its neighbours, a view that holds every slab once.

    The coarse cascade's CNN 1 sees the last two axes as one axis of 5 * (modalities + 1) channels.

    Returns:
        float32 (slabs, rows, columns, 5, modalities + 1): modalities and brain of the slab two below, one below, the slab
        itself, one above and two above; zeros beyond the volume.
    """
    wide = np.pad(cells, ((SLABS, SLABS), (0, 0), (0, 0), (0, 0)))
    return np.lib.stride_tricks.sliding_window_view(wide, 2 * SLABS + 1, axis=0).swapaxes(-1, -2)


def maps_of_slices(
    maps: np.ndarray, *, thickness: int, layers: Sequence[int], rows: tuple[int, int], columns: tuple[int, int]
) -> np.ndarray:
    """CNN 1's maps of some slices, interpolated linearly between the middles of the slabs.

    Args:
        maps: (slabs, rows, columns, classes), for cells.
        thickness: Slices per slab.
        layers: Slices.
        rows: First cell, and one past the last; cells beyond the edge get the nearest value.
        columns: Likewise.

    Returns:
        float32 (layers, cells, cells, classes).
    """
    place = np.clip((np.asarray(layers) + 0.5) / thickness - 0.5, 0, len(maps) - 1)
    low = place.astype(int)
    down, across = (
        np.clip(np.arange(*span), 0, side - 1) for span, side in zip((rows, columns), maps.shape[1:3], strict=True)
    )
    near, far = (
        maps[slab[:, None, None], down[:, None], across].astype(np.float32)
        for slab in (low, np.minimum(low + 1, len(maps) - 1))
    )
    share = (place - low).astype(np.float32)[:, None, None, None]
    return near + (far - near) * share
