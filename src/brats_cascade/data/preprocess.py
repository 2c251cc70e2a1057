"""Volume arithmetic of the paper's section 4 on plain arrays: brain mask, clipping, z-score, crop and its inverse.

Every volume is (slices, rows, columns).
"""

from collections.abc import Sequence

import numpy as np

# Slicing axis -> order of the canonical axes (up, forwards, right) in the store.
AXES = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}


def has_mirrors(axis: str) -> bool:
    """Whether reversing the columns of a slice exchanges left and right; in a sagittal slice it exchanges front and back."""
    return AXES[axis][2] == 2


def brain_mask(volumes: Sequence[np.ndarray]) -> np.ndarray:
    """Where any of the volumes is not zero: the releases are skull-stripped, with zeros outside the brain."""
    mask = volumes[0] != 0
    for volume in volumes[1:]:
        mask |= volume != 0
    return mask


def bounding_box(mask: np.ndarray, *, margin: int = 0) -> tuple[slice, ...]:
    """The smallest box around all true voxels and a margin within the array, one slice per axis; empty if none is true."""
    box = []
    for axis in range(mask.ndim):
        places = np.flatnonzero(mask.any(axis=tuple({*range(mask.ndim)} - {axis})))
        box.append(slice(max(int(places[0]) - margin, 0), int(places[-1]) + 1 + margin) if len(places) else slice(0, 0))
    return tuple(box)


def z_score(values: np.ndarray, *, zeros: int = 0) -> np.ndarray:
    """Intensities minus their mean, divided by their standard deviation, float32.

    `zeros` is the number of air voxels that also count in the mean and the standard deviation.

    Raises:
        ValueError: All values are the same.
    """
    count = values.size + zeros
    mean = values.mean(dtype=np.float64) * (values.size / count)
    centred = values - np.float32(mean)
    variance = np.square(centred).mean(dtype=np.float64) * (values.size / count) + mean**2 * (zeros / count)
    deviation = np.sqrt(variance)
    if not deviation > 1e-6 * max(1.0, abs(mean)) or values.min() == values.max():
        raise ValueError(f"the intensities are constant ({values.flat[0]:g})")
    if not zeros:
        # Subtract the mean a second time: after rounding, intensities far from zero may still have a small mean.
        centred -= np.float32(centred.mean(dtype=np.float64))
    centred /= np.float32(deviation)
    return centred


def uncrop(cropped: np.ndarray, *, offset: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """Puts a box into a volume of zeros of the given shape; `offset` is the index of the box's first voxel.

    Raises:
        ValueError: The box does not fit.
    """
    ends = [start + size for start, size in zip(offset, cropped.shape, strict=True)]
    if min(offset) < 0 or any(end > size for end, size in zip(ends, shape, strict=True)):
        raise ValueError(f"a box of {cropped.shape} at {tuple(offset)} does not fit into {tuple(shape)}")
    whole = np.zeros(tuple(shape), dtype=cropped.dtype)
    whole[tuple(slice(start, end) for start, end in zip(offset, ends, strict=True))] = cropped
    return whole
