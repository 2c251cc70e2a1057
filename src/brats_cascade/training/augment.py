"""Random changes of a training window: of intensities here; flips and warps are made where windows are cut."""

from dataclasses import dataclass

import numpy as np

from brats_cascade.data.grid import SLABS
from brats_cascade.params.train import TrainParams
from brats_cascade.training.tones import Tones, draw_tones
from brats_cascade.training.warp import Warp, draw_warp


@dataclass(frozen=True)
class Variation:
    """What is drawn for one window.

    Attributes:
        shift: Added to each modality, float32 (modalities), or None for no change of intensities.
        scale: Log of the factor of each modality, likewise.
        flipped: Left and right exchanged.
        warp: Rotation, scaling and bending, or None.
        tones: Bends of the intensities and bias fields, or None.
    """

    shift: np.ndarray | None
    scale: np.ndarray | None
    flipped: bool
    warp: Warp | None = None
    tones: Tones | None = None


def draw_variation(
    rng: np.random.Generator,
    *,
    settings: TrainParams,
    modalities: int,
    flip: bool,
    centre: tuple[float, float],
    pixel: tuple[float, float],
) -> Variation:
    """Draws the changes of one window; nothing is drawn for those that are off.

    Args:
        rng: Source of the draw.
        settings: `intensity` is the standard deviation of the shift, and of the log of the scale.
        modalities: Channels of the image.
        flip: Flip with probability one half; otherwise never.
        centre: Row and column of the window's centre, which a warp leaves where it is.
        pixel: Height and width of a pixel, mm.
    """
    shift = scale = warp = tones = None
    if settings.intensity:
        shift, scale = rng.normal(0, settings.intensity, size=(2, modalities)).astype(np.float32)
    flipped = flip and rng.random() < 0.5
    if settings.deformation:
        warp = draw_warp(rng, strength=settings.deformation, centre=centre, pixel=pixel)
    if settings.scanner:
        tones = draw_tones(rng, modalities=modalities, strength=settings.scanner, pixel=pixel)
    return Variation(shift, scale, flipped, warp, tones)


def vary_intensities(image: np.ndarray, *, variation: Variation) -> np.ndarray:
    """Changes each modality inside the brain; what is zero in every modality stays zero.

    Args:
        image: float32 (rows, columns, modalities).
        variation: From `draw_variation`.

    Returns:
        float32 of the same shape.
    """
    inside = np.any(image != 0, axis=-1, keepdims=True)
    if variation.tones is not None:
        image = np.where(inside, variation.tones.change(image), np.float32(0))
    if variation.shift is None or variation.scale is None:
        return image
    return np.where(inside, image * np.exp(variation.scale) + variation.shift, np.float32(0))


def vary_slabs(image: np.ndarray, *, variation: Variation) -> np.ndarray:
    """What `coarse_slabs` gives for a case whose intensities are varied: a shift acts on a cell's share of brain.

    Tones bend the mean of a cell's brain, which is close to the mean of the bent intensities.

    Args:
        image: float32 (rows, columns, 5 * (modalities + 1)), the last channel of each slab the brain's share.
        variation: From `draw_variation`.

    Returns:
        float32 of the same shape.
    """
    modalities = image.shape[-1] // (2 * SLABS + 1) - 1
    slabs = image.reshape(*image.shape[:2], -1, modalities + 1)
    means, share = slabs[..., :-1], slabs[..., -1:]
    if variation.tones is not None:
        inside = means / np.maximum(share, np.float32(1e-6))
        changed = [variation.tones.change(inside[:, :, place]) for place in range(inside.shape[2])]
        means = np.stack(changed, axis=2) * share
    if variation.shift is not None and variation.scale is not None:
        means = means * np.exp(variation.scale) + variation.shift * share
    return np.concatenate([means, share], axis=-1).reshape(image.shape)
