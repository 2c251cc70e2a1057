"""Smooth random fields and regions cut from them, used for deformations, textures and outlines."""

import math

import numpy as np
from scipy import ndimage


def smooth_noise(shape: tuple[int, ...], *, correlation: float, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Draws Gaussian-filtered white noise, float32 with mean 0 and standard deviation 1.

    The noise is drawn and filtered on a lattice with about half the filter's width (standard deviation `correlation`, mm) and
    then interpolated, so that broad fields are cheap.
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
    """A smooth step from 0 to 1 at the value `edge`, within 2 % of both ends over about `width`."""
    return (0.5 * (1 + np.tanh((values - edge) * (4 / width)))).astype(np.float32)


def distance_mm(mask: np.ndarray, *, spacing: float) -> np.ndarray:
    """Distance of every voxel in a mask to the nearest voxel outside it, float32; 0 outside the mask."""
    return (ndimage.distance_transform_edt(mask) * spacing).astype(np.float32)


def lowest(values: np.ndarray, *, cm3: float, spacing: float) -> np.ndarray:
    """Selects the voxels with the lowest values that make up a volume, or all finite ones if there are fewer."""
    count = min(round(cm3 * 1000 / spacing**3), int(np.isfinite(values).sum()))
    chosen = np.zeros(values.size, dtype=bool)
    chosen[np.argsort(values, axis=None, kind="stable")[:count]] = True
    return chosen.reshape(values.shape)


def one_piece(mask: np.ndarray) -> np.ndarray:
    """Keeps the largest connected component and fills its holes."""
    pieces, count = ndimage.label(mask)
    if count > 1:
        mask = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return ndimage.binary_fill_holes(mask)
