"""Segmenting four modalities that are in memory, without files."""

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.checks import judge_case
from brats_cascade.data.preprocess import AXES, bounding_box, brain_mask, uncrop
from brats_cascade.data.standardise import standardise_all
from brats_cascade.errors import UserError
from brats_cascade.inference.postprocess import OFF, Thresholds
from brats_cascade.inference.segment import Member, check_modalities, label_probabilities, labels_of
from brats_cascade.params import Recipe


def segment_array(
    image: np.ndarray,
    *,
    member: Member,
    thresholds: Thresholds = OFF,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    flips: bool = False,
    name: str = "image",
) -> np.ndarray:
    """Segments raw intensities, preprocessed and judged as a case's files are; the options are those of `predict_case`.

    The image is (slices, rows, columns, 4): canonical frame, modalities in the order of `MODALITIES`, 0 outside the brain; the
    spacing that of its voxels, mm. Messages call it by its name.

    Returns:
        Canonical labels, uint8 (slices, rows, columns).

    Raises:
        UserError: Another shape, a network of other modalities, or an image that the data check would excluded.
    """
    brain = _brain_of(image, name=name)
    check_modalities(member.contract, name=name)
    recipe = Recipe(**member.contract.preprocessing)
    box = bounding_box(brain)
    inside = np.ascontiguousarray(brain[box])
    facts = {
        "case": name,
        "modalities": ",".join(MODALITIES),
        **{"same_grid": True, "finite": True, "has_truth": False},
        **dict(zip(("spacing_slice", "spacing_row", "spacing_column"), spacing, strict=True)),
        "brain_fraction": float(np.count_nonzero(brain) / brain.size),
    }
    standardised, _ = standardise_all(
        {modality: image[..., channel][box] for channel, modality in enumerate(MODALITIES)},
        sources=dict.fromkeys(MODALITIES, name), brain=inside, voxels=brain.size, spacing=spacing, recipe=recipe, facts=facts,
    )  # fmt: skip
    errors, _ = judge_case(facts)
    if errors:
        raise UserError(f"{name}: {'; '.join(errors)}")
    order = AXES[recipe.axis]  # cuts the slices that the network was trained on
    turned = np.ascontiguousarray(standardised.transpose(*order, 3))
    inside = np.ascontiguousarray(inside.transpose(order))
    steps = tuple(spacing[axis] for axis in order)
    probabilities = label_probabilities([member], image=turned, brain=inside, spacing=steps, flips=flips)
    labels = labels_of(probabilities, brain=inside, spacing=steps, thresholds=thresholds)
    return uncrop(labels.transpose(np.argsort(order)), offset=[axis.start for axis in box], shape=brain.shape)


def _brain_of(image: np.ndarray, *, name: str) -> np.ndarray:
    """Where the image is not 0; refuses what is no image of four modalities."""
    if image.ndim != 4 or image.shape[-1] != len(MODALITIES):
        raise UserError(
            f"{name}: expected an image (slices, rows, columns, {len(MODALITIES)}) of {', '.join(MODALITIES)}, received the "
            f"shape {image.shape}"
        )
    if not np.isfinite(image).all():
        raise UserError(f"{name}: expected finite numbers, received NaN or infinity")
    brain = brain_mask([image[..., channel] for channel in range(image.shape[-1])])
    if not brain.any():
        raise UserError(f"{name}: expected a brain, received zeros only")
    return brain
