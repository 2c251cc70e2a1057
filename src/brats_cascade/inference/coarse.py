"""Dense inference of the coarse cascade: CNN 1 over the case's slabs, then CNN 2 over batches of its slices."""

import math
from collections.abc import Sequence

import keras
import numpy as np

from brats_cascade.data.axes import ORDERS, along, back
from brats_cascade.data.grid import Cell, block_means, coarse_cells, maps_of_slices, slabs_of
from brats_cascade.data.windows import cut_window
from brats_cascade.inference.dense import brain_windows, free_of_sizes, rounding
from brats_cascade.models.cascade import GEOMETRY
from brats_cascade.models.coarse import coarse_geometry, members_of, with_steps
from brats_cascade.models.unet import POOLINGS

AT_ONCE = 8  # slabs per batch


def predict_coarse(
    network: keras.Model,
    *,
    image: np.ndarray,
    brain: np.ndarray,
    spacing: Sequence[float],
    slices: int = 4,
    axes: str = "one",
) -> np.ndarray:
    """A coarse cascade's class probabilities for every pixel of a volume, with arguments and result as in `predict_volume`.

    `spacing` is the voxel spacing (slice, row, column), mm; `axes` is that of CNN 1's `Style`.
    """
    cell = Cell.of(spacing)
    maps = coarse_maps(network.get_layer("cnn1"), image=image, brain=brain, spacing=spacing, axes=axes)
    cnn2, geometry = with_steps(network.get_layer("cnn2"), steps=cell.pixels), coarse_geometry(cell.pixels)
    means = block_means(image, steps=(1, *cell.pixels))
    found = np.zeros((*brain.shape, maps.shape[-1]), dtype=np.float32)
    free_of_sizes(
        cnn2, windows=lambda n: _empty(cnn2, n, cell=cell, rows=n * cell.pixels[0], columns=2 * n * cell.pixels[1])
    )
    for start, stop, top, left, rows, columns in brain_windows(
        brain, slices=slices, step=rounding(), align=cell.pixels
    ):
        window, cells = _empty(cnn2, slices, cell=cell, rows=rows, columns=columns)
        size, first = window.shape[1:3], (top - geometry.before, left - geometry.before)
        for place in range(stop - start):
            window[place] = cut_window(image[start + place], top=first[0], left=first[1], rows=size[0], columns=size[1])
        cells[: stop - start] = _cells(
            means, maps=maps, cell=cell, layers=range(start, stop),
            first=(first[0] // cell.pixels[0], first[1] // cell.pixels[1]), shape=cells.shape[1:3],
        )  # fmt: skip
        outputs = keras.ops.convert_to_numpy(cnn2.predict_on_batch([window, cells]))
        target = found[start:stop, top : top + rows, left : left + columns]
        inside = brain[start:stop, top : top + rows, left : left + columns, None]
        np.multiply(outputs[: stop - start, : target.shape[1], : target.shape[2]], inside, out=target)
    found[..., 0] += ~brain  # class 0 is certain outside it
    return found


def coarse_maps(
    cnn1: keras.Model, *, image: np.ndarray, brain: np.ndarray, spacing: Sequence[float], axes: str = "one"
) -> np.ndarray:
    """CNN 1's class probabilities for every cell, float32 (slabs, rows, columns, classes).

    Arguments are as in `predict_coarse`; class 0 is certain in cells without brain. With axes "all" the result is the mean of
    maps from slabs along each of the three axes. If CNN 1 is the mean of several, they take turns: the first makes the maps
    along the first axis, the second those along the second, and so on, until each network and each axis was used.
    """
    cells = coarse_cells(image, brain=brain, cell=Cell.of(spacing))
    if axes == "one":
        return _maps_along(cnn1, cells=cells)
    networks, orders = members_of(cnn1), list(ORDERS.values())
    turns = max(len(networks), len(orders))
    total = np.zeros((*cells.shape[:3], cnn1.output_shape[-1]), dtype=np.float32)
    for turn in range(turns):
        network, order = networks[turn % len(networks)], orders[turn % len(orders)]
        total += back(_maps_along(network, cells=along(cells, order=order)), order=order)
    return total / turns


def _maps_along(cnn1: keras.Model, *, cells: np.ndarray) -> np.ndarray:
    """CNN 1's probabilities for cells as in `coarse_cells`, from slabs along their first axis."""
    slabs = slabs_of(cells)
    inside, channels = cells[..., -1] > 0, math.prod(slabs.shape[3:])
    halo = GEOMETRY["coarse_cnn1"].before
    found = np.zeros((*inside.shape, cnn1.output_shape[-1]), dtype=np.float32)
    side = 2 * halo + 2
    free_of_sizes(cnn1, windows=lambda n: np.zeros((n, side + 2 * n, side + 4 * n, channels), np.float32))
    # CNN 1 pads with zeros, so its windows must not depend on the backend.
    for start, stop, top, left, rows, columns in brain_windows(inside, slices=AT_ONCE, step=2**POOLINGS):
        window = np.zeros((AT_ONCE, rows + 2 * halo, columns + 2 * halo, channels), np.float32)
        for place, slab in enumerate(slabs[start:stop]):
            flat = slab.reshape(*slab.shape[:2], channels)
            window[place] = cut_window(
                flat, top=top - halo, left=left - halo, rows=window.shape[1], columns=window.shape[2]
            )
        outputs = keras.ops.convert_to_numpy(cnn1.predict_on_batch(window))
        target = found[start:stop, top : top + rows, left : left + columns]
        target[:] = outputs[: stop - start, : target.shape[1], : target.shape[2]]
    found[~inside] = np.eye(found.shape[-1], dtype=np.float32)[0]
    return found


def _empty(cnn2: keras.Model, count: int, *, cell: Cell, rows: int, columns: int) -> list[np.ndarray]:
    """CNN 2's two inputs, all 0, for a number of outputs: pixels of the image, and cells."""
    halo = coarse_geometry(cell.pixels).before
    size = rows + 2 * halo, columns + 2 * halo
    cells = tuple(-(-side // unit) for side, unit in zip(size, cell.pixels, strict=True))
    return [
        np.zeros((count, *shape, given.shape[-1]), np.float32)
        for shape, given in zip((size, cells), cnn2.inputs, strict=True)
    ]


def _cells(
    means: np.ndarray, *, maps: np.ndarray, cell: Cell, layers: range, first: tuple[int, int], shape: tuple[int, ...]
) -> np.ndarray:
    """CNN 2's second input for a window of some slices, float32 (layers, *shape, 3 * modalities + classes)."""
    modalities = means.shape[-1]
    cells = np.zeros((len(layers), *shape, 3 * modalities + maps.shape[-1]), np.float32)
    for place, layer in enumerate(layers):
        for number, other in enumerate((layer, layer - cell.slices, layer + cell.slices)):
            if 0 <= other < len(means):
                cells[place, ..., number * modalities : (number + 1) * modalities] = cut_window(
                    means[other], top=first[0], left=first[1], rows=shape[0], columns=shape[1]
                )
    spans = [(start, start + side) for start, side in zip(first, shape, strict=True)]
    cells[..., 3 * modalities :] = maps_of_slices(
        maps, thickness=cell.slices, layers=layers, rows=spans[0], columns=spans[1]
    )
    return cells
