"""Cutting windows out of slices against naive loops."""

import numpy as np
import pytest

from brats_cascade.data.windows import cut_window, place_window


@pytest.mark.parametrize("top", [-9, -2, 0, 3, 5, 8])
@pytest.mark.parametrize("left", [-7, -1, 2, 6, 9])
@pytest.mark.parametrize("mode", ["constant", "edge"])
def test_a_window_is_the_naive_one(top: int, left: int, mode: str) -> None:
    plane = np.arange(1, 7 * 8 * 2 + 1).reshape(7, 8, 2)
    expected = np.zeros((5, 4, 2), plane.dtype)
    for row in range(5):
        for column in range(4):
            y, x = top + row, left + column
            if mode == "edge":
                expected[row, column] = plane[min(max(y, 0), 6), min(max(x, 0), 7)]
            elif 0 <= y < 7 and 0 <= x < 8:
                expected[row, column] = plane[y, x]
    found = cut_window(plane, top=top, left=left, rows=5, columns=4, mode=mode)
    np.testing.assert_array_equal(found, expected)
    found[:] = -1
    assert plane.min() == 1  # a copy


@pytest.mark.parametrize("size", [4, 5])
def test_a_window_around_a_centre_holds_it_and_stays_inside(size: int) -> None:
    for centre in range(12):
        start = place_window(centre, size=size, length=12)
        assert 0 <= start <= 12 - size
        assert start <= centre < start + size
    assert place_window(6, size=size, length=12) == 6 - size // 2


def test_a_window_wider_than_the_plane_covers_all_of_it() -> None:
    for centre in (0, 3, 5):
        start = place_window(centre, size=9, length=6)
        assert start <= 0 and start + 9 >= 6
