"""The three axes along which a volume can be cut into slices."""

from collections.abc import Sequence

import numpy as np

# Name of the direction in which slices follow one another -> order of the stored axes (slice, row, column).
ORDERS = {"slices": (0, 1, 2), "rows": (1, 0, 2), "columns": (2, 0, 1)}


def along(volume: np.ndarray, *, order: Sequence[int]) -> np.ndarray:
    """A view of a volume (slices, rows, columns, ...) with its first three axes in another order."""
    return volume.transpose(*order, *range(3, volume.ndim))


def back(volume: np.ndarray, *, order: Sequence[int]) -> np.ndarray:
    """The inverse of `along`."""
    return along(volume, order=np.argsort(order).tolist())
