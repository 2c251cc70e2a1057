"""Clipping, N4 and z-score of a case's four modalities (paper section 4), whether they come from files or from memory."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.bias import correct_bias
from brats_cascade.data.facts import intensity_facts
from brats_cascade.data.intensities import describe
from brats_cascade.data.preprocess import clip_values, z_score
from brats_cascade.data.recipe import Recipe
from brats_cascade.errors import UserError

BIASED = ("t1", "t1c")  # the modalities that N4 corrects


def standardise_all(
    cropped: Mapping[str, np.ndarray],
    *,
    sources: Mapping[str, str],
    brain: np.ndarray,
    voxels: int,
    spacing: tuple[float, float, float],
    recipe: Recipe,
    facts: dict[str, Any],
) -> tuple[np.ndarray, str]:
    """Preprocesses the modalities of the brain's box, and measures them.

    Args:
        cropped: Modality -> raw intensities (slices, rows, columns) of the box.
        sources: Modality -> where they come from, for error messages.
        brain: bool (slices, rows, columns) of the box.
        voxels: Of the whole volume.
        spacing: mm, along slices, rows and columns.
        recipe: Clipping, N4 and z-score; its axis is left to the caller.
        facts: Takes the intensities' statistics.

    Returns:
        float32 (slices, rows, columns, modalities), exactly 0 outside the brain, and a hash of the raw voxels.

    Raises:
        UserError: A modality is constant.
    """
    digest = hashlib.sha256(repr(brain.shape).encode())
    places = np.flatnonzero(brain)
    image = np.zeros((brain.size, len(MODALITIES)), dtype=np.float32)
    for channel, modality in enumerate(MODALITIES):
        raw = np.ascontiguousarray(cropped[modality])
        digest.update(raw.astype(np.float32, copy=False).data)
        values = raw.ravel()[places]
        described = describe(values, shares=(0.01, 0.5, 0.99, recipe.clip, 1 - recipe.clip))
        facts.update(intensity_facts(described, modality=modality))
        clipped = clip_values(values, limits=(described.quantiles[3], described.quantiles[4]))
        zeros = voxels - places.size if recipe.zscore == "volume" else 0
        try:
            image[places, channel] = z_score(clipped, zeros=zeros)  # before N4, which makes a constant vary
            if recipe.n4 and modality in BIASED:
                volume = np.zeros(brain.size, dtype=np.float32)
                volume[places] = clipped
                corrected = correct_bias(volume.reshape(brain.shape), brain=brain, spacing=spacing)
                image[places, channel] = z_score(corrected.ravel()[places], zeros=zeros)
        except ValueError as error:
            raise UserError(
                f"{sources[modality]}: {modality}: {error}; expected an image of the brain; export it again"
            ) from None
    return image.reshape(*brain.shape, len(MODALITIES)), digest.hexdigest()
