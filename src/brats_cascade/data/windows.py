"""Cutting a window out of a slice, with zeros where it reaches over the edge."""

import numpy as np


def cut_window(
    plane: np.ndarray, *, top: int, left: int, rows: int, columns: int, mode: str = "constant"
) -> np.ndarray:
    """Copies a window (rows, columns, ...) out of a plane (rows, columns, ...), over whose edges it may reach.

    What lies outside the plane is zero by the `mode` "constant", the nearest value by "edge".
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
    """First index of a window of `size` around a centre, shifted so that it stays inside 0..length where it fits."""
    return int(np.clip(centre - size // 2, min(0, length - size), max(0, length - size)))


def round_up(length: int, *, multiple: int) -> int:
    """The least multiple that is no shorter."""
    return -(-length // multiple) * multiple
