"""Cuts windows out of a slice, with padding beyond its edge."""

import numpy as np


def cut_window(
    plane: np.ndarray, *, top: int, left: int, rows: int, columns: int, mode: str = "constant"
) -> np.ndarray:
    """Copies a window (rows, columns, ...) from a plane (rows, columns, ...); the window may extend beyond the edge.

    Outside the plane, values are zero for `mode` "constant", and the nearest value for "edge".
    """
    height, width = plane.shape[:2]
    if mode == "edge":
        down = np.clip(np.arange(top, top + rows), 0, height - 1)
        across = np.clip(np.arange(left, left + columns), 0, width - 1)
        return plane[down[:, None], across[None, :]]
    window = np.zeros((rows, columns, *plane.shape[2:]), dtype=plane.dtype)
    first_row, last_row = max(top, 0), min(top + rows, height)
    first_column, last_column = max(left, 0), min(left + columns, width)
    if first_row < last_row and first_column < last_column:
        window[first_row - top : last_row - top, first_column - left : last_column - left] = plane[
            first_row:last_row, first_column:last_column
        ]
    return window


def place_window(centre: int, *, size: int, length: int) -> int:
    """First index of a window of `size` around a centre, shifted to stay within 0..length if it fits."""
    return int(np.clip(centre - size // 2, min(0, length - size), max(0, length - size)))


def round_up(length: int, *, multiple: int) -> int:
    """The smallest multiple of `multiple` that is not less than `length`."""
    return -(-length // multiple) * multiple
