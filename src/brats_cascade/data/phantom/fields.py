"""Smooth random fields and the regions cut from them: the ingredients of every deformation, texture and outline."""

import math

import numpy as np
from scipy import ndimage


def smooth_noise(shape: tuple[int, ...], *, correlation: float, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Draws Gaussian-filtered white noise.

    The noise is drawn and filtered on a lattice of about half the filter's width, then interpolated, so that broad fields
    cost little.

    Args:
        shape: Voxels (x, y, z).
        correlation: Standard deviation of the Gaussian filter, mm.
        spacing: Side of a voxel, mm.
        rng: Where the numbers come from.

    Returns:
        float32 array of that shape with mean 0 and standard deviation 1.
    """
    width = correlation / spacing
    step = max(1, int(width / 2))
    lattice = tuple(math.ceil(size / step) + 1 for size in shape)
    coarse = ndimage.gaussian_filter(rng.standard_normal(lattice, dtype=np.float32), width / step, mode="wrap")
    fine = coarse
    if step > 1:
        fine = ndimage.affine_transform(coarse, np.full(3, 1 / step), output_shape=shape, order=1, mode="nearest")
    fine = fine[tuple(slice(size) for size in shape)]
    return ((fine - fine.mean()) / max(float(fine.std()), 1e-6)).astype(np.float32)


def soft_step(values: np.ndarray, *, edge: float, width: float) -> np.ndarray:
    """Rises from 0 to 1 where values pass `edge`, over about `width` of their unit.

    Args:
        values: Any shape.
        edge: Where the result is 0.5.
        width: How far from `edge` the result is within 2 % of 0 or 1, half of it on either side.

    Returns:
        float32 array of the same shape.
    """
    return (0.5 * (1 + np.tanh((values - edge) * (4 / width)))).astype(np.float32)


def distance_mm(mask: np.ndarray, *, spacing: float) -> np.ndarray:
    """Distance of every voxel of a mask to the nearest voxel outside it.

    Args:
        mask: bool (x, y, z).
        spacing: Side of a voxel, mm.

    Returns:
        float32 distances in mm, 0 outside the mask.
    """
    return (ndimage.distance_transform_edt(mask) * spacing).astype(np.float32)


def lowest(values: np.ndarray, *, cm3: float, spacing: float) -> np.ndarray:
    """Chooses the voxels of lowest finite value that make up a volume.

    Args:
        values: float (x, y, z).
        cm3: The volume; fewer voxels are chosen where fewer are finite.
        spacing: Side of a voxel, mm.

    Returns:
        bool (x, y, z).
    """
    count = min(round(cm3 * 1000 / spacing**3), int(np.isfinite(values).sum()))
    chosen = np.zeros(values.size, dtype=bool)
    chosen[np.argsort(values, axis=None, kind="stable")[:count]] = True
    return chosen.reshape(values.shape)


def one_piece(mask: np.ndarray) -> np.ndarray:
    """Keeps the largest connected piece and fills its holes.

    Args:
        mask: bool (x, y, z).

    Returns:
        bool, same shape.
    """
    pieces, count = ndimage.label(mask)
    if count > 1:
        mask = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return ndimage.binary_fill_holes(mask)
