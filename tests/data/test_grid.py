"""The grid of the coarse cascade against loops in plain Python and SciPy."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from brats_cascade.data.grid import Cell, block_centres, block_means, coarse_cells, maps_of_slices, slabs_of


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ((1, 1, 1), (2, 2, 2)),
        ((2.75, 2.75, 2.75), (1, 1, 1)),
        ((5, 0.5, 0.4), (1, 4, 5)),
        ((1.2, 0.9375, 1.5), (2, 2, 1)),
        ((9, 9, 9), (1, 1, 1)),
    ],
)
def test_cells_have_the_nearest_number_of_voxels(spacing: tuple[float, ...], expected: tuple[int, int, int]) -> None:
    assert Cell.of(spacing) == expected and Cell.of(spacing).pixels == expected[1:]


@pytest.mark.parametrize(("shape", "steps"), [((5, 7, 9), (4, 2, 3)), ((1, 4, 6), (4, 4, 4)), ((3, 3, 3), (1, 1, 1))])
def test_means_and_centres_of_blocks_are_those_of_a_loop(shape: tuple[int, ...], steps: tuple[int, ...]) -> None:
    volume = np.random.default_rng(0).normal(size=(*shape, 2)).astype(np.float32)
    found, middle = block_means(volume, steps=steps), block_centres(volume, steps=steps)
    counts = [-(-side // step) for side, step in zip(shape, steps, strict=True)]
    assert found.shape == middle.shape == (*counts, 2) and found.dtype == np.float32
    for place in np.ndindex(*counts):
        block = np.zeros((*steps, 2))
        part = volume[tuple(slice(n * step, (n + 1) * step) for n, step in zip(place, steps, strict=True))]
        block[tuple(slice(side) for side in part.shape[:3])] = part
        np.testing.assert_allclose(found[place], block.mean(axis=(0, 1, 2)), atol=1e-6)
        inside = [min(step // 2, side - 1) for step, side in zip(steps, part.shape, strict=False)]
        np.testing.assert_array_equal(middle[place], part[tuple(inside)])


def test_slabs_hold_their_neighbours_and_zeros_beyond_the_volume() -> None:
    rng = np.random.default_rng(1)
    brain = rng.random((9, 6, 5)) < 0.7
    image = rng.normal(size=(9, 6, 5, 2)).astype(np.float32) * brain[..., None]
    cell = Cell.of((0.5, 1, 2))
    slabs = slabs_of(coarse_cells(image, brain=brain, cell=cell))
    assert slabs.shape == (3, 3, 5, 5, 3)
    assert np.may_share_memory(slabs[0], slabs[1])  # each slab is in memory once
    for number in range(3):
        for offset in range(-2, 3):
            own = slabs[number, ..., offset + 2, :]
            other = number + offset
            if not 0 <= other < 3:
                assert not own.any()
                continue
            np.testing.assert_allclose(own[..., 2], block_means(brain, steps=cell)[other])
            np.testing.assert_allclose(own[..., :2], block_means(image, steps=cell)[other])


@pytest.mark.parametrize("thickness", [1, 2, 5])
def test_maps_of_slices_are_linear_between_slabs(thickness: int) -> None:
    maps = np.random.default_rng(2).random((3, 4, 5, 2)).astype(np.float32)
    layers, rows, columns = [0, 2, 7], (-3, 6), (1, 9)
    found = maps_of_slices(maps, thickness=thickness, layers=layers, rows=rows, columns=columns)
    middles = (np.array(layers) + 0.5) / thickness - 0.5
    places = np.stack(np.meshgrid(middles, np.arange(*rows), np.arange(*columns), indexing="ij"))
    for number in range(2):
        expected = map_coordinates(maps[..., number].astype(float), places, order=1, mode="nearest")
        np.testing.assert_allclose(found[..., number], expected, atol=1e-6)
