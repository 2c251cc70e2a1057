"""Segmenting four modalities that are in memory, without files."""

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.preprocess import bounding_box, brain_mask, normalise, uncrop
from brats_cascade.data.recipe import AXES
from brats_cascade.errors import UserError
from brats_cascade.inference.postprocess import OFF, Rule, apply_rule
from brats_cascade.inference.segment import Member, label_probabilities, most_probable


def segment_array(
    image: np.ndarray,
    *,
    member: Member,
    rule: Rule = OFF,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    slices: int = 4,
    flips: bool = False,
    name: str = "image",
) -> np.ndarray:
    """Segments raw intensities.

    Args:
        image: (slices, rows, columns, 4): canonical frame, modalities in the order of `MODALITIES`, 0 outside the brain.
        member: The network.
        rule: The post-processing.
        spacing: Of the voxels, mm.
        slices: Slices computed at once.
        flips: Also segment the mirror image, and average.
        name: For error messages.

    Returns:
        Canonical labels, uint8 (slices, rows, columns).

    Raises:
        UserError: Another shape, values that are not finite, nothing but zeros, or a network that wants N4 or another
            z-score than the brain's.
    """
    if image.ndim != 4 or image.shape[-1] != len(MODALITIES):
        raise UserError(
            f"{name}: expected an image (slices, rows, columns, {len(MODALITIES)}) of {', '.join(MODALITIES)}, received the "
            f"shape {image.shape}"
        )
    contract = member.contract
    if contract.n4 or contract.zscore != "brain":
        raise UserError(
            f"{name}: this model was trained after N4 or on a volume's z-score; send a case's folder instead"
        )
    if not np.isfinite(image).all():
        raise UserError(f"{name}: expected finite numbers, received NaN or infinity")
    brain = brain_mask([image[..., channel] for channel in range(image.shape[-1])])
    if not brain.any():
        raise UserError(f"{name}: expected a brain, received zeros only")
    box = bounding_box(brain)
    inside = np.ascontiguousarray(brain[box])
    try:
        seen = [normalise(image[..., channel][box], brain=inside, clip=contract.clip) for channel in range(4)]
    except ValueError as error:
        raise UserError(f"{name}: {error}; expected an image of the brain") from None
    order = AXES[contract.axis]  # cuts the slices that the network was trained on
    turned = np.ascontiguousarray(np.stack(seen, axis=-1).transpose(*order, 3))
    inside = np.ascontiguousarray(inside.transpose(order))
    probabilities = label_probabilities([member], image=turned, brain=inside, slices=slices, flips=flips)
    steps = tuple(spacing[axis] for axis in order)
    labels = apply_rule(most_probable(probabilities), brain=inside, spacing=steps, rule=rule)
    return uncrop(labels.transpose(np.argsort(order)), offset=[axis.start for axis in box], shape=brain.shape)
