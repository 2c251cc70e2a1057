"""Cuts a network's input windows from a case, with the window's random changes."""

import functools

import numpy as np

from brats_cascade.data.grid import Cell, block_means, maps_of_slices
from brats_cascade.models.cascade import CNN2, Geometry
from brats_cascade.training.augment import Variation, vary_intensities, vary_slabs
from brats_cascade.training.batches import TrainingCase
from brats_cascade.training.warp import cut_warped

Window = tuple[int, int, int, int]  # top, left, rows, columns in pixels of a slice; may extend beyond the edge


def cut_inputs(
    case: TrainingCase,
    *,
    layer: int,
    top: int,
    left: int,
    size: int | tuple[int, int],
    geometry: Geometry,
    variation: Variation,
) -> list[np.ndarray]:
    """Cuts the input that a network of this geometry needs for a window of outputs, with the window's random changes.

    The window starts at a row and a column of a slice; `size` is its side, or its rows and columns, pixels. A flip
    acts as if the whole slice had been flipped before cutting: a field of view that extends one pixel further to one
    side (LocalCascadeCNN) still does so after the flip.

    Returns:
        [image], [slabs], [image, CNN 1's maps] or [image, cells], float32 (rows, columns, channels).
    """
    before, after = geometry.halo
    height, width = (size, size) if isinstance(size, int) else size
    start = left - (after if variation.flipped else before)
    window = top - before, start, height + before + after, width + before + after
    if geometry.reads == "grid":
        parts = _pixels_and_cells(case, layer=layer, window=window, steps=geometry.step, variation=variation)
    elif geometry.reads == "slabs":
        slab = case.image[layer].reshape(*case.image.shape[1:3], -1)  # includes shares of brain
        image = cut_warped(slab, box=window, warp=variation.warp, order=1)
        parts = [vary_slabs(image, variation=variation)]
    else:
        parts = [_cut_image(case, layer=layer, window=window, variation=variation)]
    if case.maps is not None and geometry.reads == "slice":
        joined = geometry.joined
        # The stored maps have a margin of 16 pixels around the slice.
        down = CNN2.before - (joined - 1) // 2
        across = CNN2.before - joined // 2 if variation.flipped else down
        maps = cut_warped(
            case.maps[layer], box=(top + down, left + across, height - 1 + joined, width - 1 + joined),
            warp=variation.warp, order=1, mode="edge", margin=CNN2.before,
        )  # fmt: skip
        parts.append(maps.astype(np.float32))
    if variation.without_maps and case.maps is not None:
        classes = case.maps.shape[-1]
        parts[-1][..., -classes:] = 1 / classes
    return [part[:, ::-1] for part in parts] if variation.flipped else parts


def _cut_image(case: TrainingCase, *, layer: int, window: Window, variation: Variation) -> np.ndarray:
    """A changed window of a slice's image; a warp keeps the edge of the brain sharp."""
    image = cut_warped(case.image[layer], box=window, warp=variation.warp, order=1)
    if variation.warp is not None:
        image *= cut_warped(case.brain[layer], box=window, warp=variation.warp)[..., None]
    return vary_intensities(image, variation=variation)


def _pixels_and_cells(
    case: TrainingCase, *, layer: int, window: Window, steps: tuple[int, int], variation: Variation
) -> list[np.ndarray]:
    """The input of the coarse cascade's CNN 2: the slice, and on the 2 mm grid the means of three slices and CNN 1's maps."""
    assert case.maps is not None
    cell = Cell.of(case.spacing)
    planes: list[np.ndarray] = []
    for other in (layer, layer - cell.slices, layer + cell.slices):
        inside = 0 <= other < len(case.image)
        cut = functools.partial(_cut_image, case, layer=other, window=window, variation=variation)
        planes.append(cut() if inside else np.zeros_like(planes[0]))
    box = window[0] // steps[0], window[1] // steps[1], window[2] // steps[0], window[3] // steps[1]
    rows, columns = (box[0], box[0] + box[2]), (box[1], box[1] + box[3])
    if variation.warp is not None:  # all cells of the slice, because a warp may need any of them
        rows, columns = ((0, -(-side // step)) for side, step in zip(case.brain.shape[1:], steps, strict=True))
    maps = maps_of_slices(case.maps, thickness=cell.slices, layers=[layer], rows=rows, columns=columns)[0]
    if variation.warp is not None:
        maps = cut_warped(maps, box=box, warp=variation.warp, order=1, mode="edge", steps=steps)
    means = [block_means(plane, steps=steps) for plane in planes]
    return [planes[0], np.concatenate([*means, maps], axis=-1)]
