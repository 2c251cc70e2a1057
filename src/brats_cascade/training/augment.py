"""Random changes of a training window: intensity shift and scale; flips are made where windows are cut."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Variation:
    """What is drawn for one window.

    Attributes:
        shift: Added to each modality, float32 (modalities), or None for no change of intensities.
        scale: Log of the factor of each modality, likewise.
        flipped: Left and right exchanged.
    """

    shift: np.ndarray | None
    scale: np.ndarray | None
    flipped: bool


def draw_variation(rng: np.random.Generator, *, modalities: int, intensity: float, flip: bool) -> Variation:
    """Draws the changes of one window.

    Args:
        rng: Source of the draw.
        modalities: Channels of the image.
        intensity: Standard deviation of the shift, and of the log of the scale; 0 leaves intensities as they are.
        flip: Flip with probability one half; otherwise never.

    Returns:
        The changes.
    """
    shift = scale = None
    if intensity:
        shift, scale = rng.normal(0, intensity, size=(2, modalities)).astype(np.float32)
    return Variation(shift, scale, flip and rng.random() < 0.5)


def vary_intensities(image: np.ndarray, *, variation: Variation) -> np.ndarray:
    """Scales and shifts each modality inside the brain; what is zero in every modality stays zero.

    Args:
        image: float32 (rows, columns, modalities).
        variation: From `draw_variation`.

    Returns:
        float32 of the same shape.
    """
    if variation.shift is None or variation.scale is None:
        return image
    inside = np.any(image != 0, axis=-1, keepdims=True)
    return np.where(inside, image * np.exp(variation.scale) + variation.shift, np.float32(0))


def vary_slabs(image: np.ndarray, *, variation: Variation) -> np.ndarray:
    """What `coarse_slabs` gives for a case whose intensities are varied: a shift acts on a cell's share of brain.

    Args:
        image: float32 (rows, columns, 5 * (modalities + 1)), the last channel of each slab the brain's share.
        variation: From `draw_variation`.

    Returns:
        float32 of the same shape.
    """
    if variation.shift is None or variation.scale is None:
        return image
    slabs = image.reshape(*image.shape[:2], -1, len(variation.shift) + 1)
    share = slabs[..., -1:]
    means = slabs[..., :-1] * np.exp(variation.scale) + variation.shift * share
    return np.concatenate([means, share], axis=-1).reshape(image.shape)
