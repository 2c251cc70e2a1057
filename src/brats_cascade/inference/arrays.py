"""Segments four modalities from memory, without files."""

from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.case import Case
from brats_cascade.data.facts import identity
from brats_cascade.data.images import Image
from brats_cascade.data.prepare import prepare_images
from brats_cascade.data.writeback import restore_labels
from brats_cascade.errors import UserError
from brats_cascade.inference.postprocess import OFF, Thresholds
from brats_cascade.inference.predict import judged
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
    """Segments raw intensities, preprocessed and checked like the files of a case; the options are those of `predict_case`.

    The image is (slices, rows, columns, 4): canonical frame, modalities in the order of `MODALITIES`, 0 outside the brain;
    `spacing` is that of its voxels, mm. Messages call the image by `name`.

    Returns:
        Canonical labels, uint8 (slices, rows, columns).

    Raises:
        UserError: The image has another shape, the network is for other modalities, or the data check would exclude the image.
    """
    if image.ndim != 4 or image.shape[-1] != len(MODALITIES):
        raise UserError(
            f"{name}: expected an image (slices, rows, columns, {len(MODALITIES)}) of {', '.join(MODALITIES)}, received the "
            f"shape {image.shape}"
        )
    if not np.isfinite(image).all():
        raise UserError(f"{name}: expected finite numbers, received NaN or infinity")
    if not all(0 < size < np.inf for size in spacing):
        raise UserError(f"{name}: expected a spacing above 0 mm, received {spacing}")
    check_modalities(member.contract, name=name)
    if not image.any():
        raise UserError(f"{name}: expected a brain, received zeros only")
    case = Case(name, name, "unknown", "list", "five", folder=Path(), images={}, truth=None, problems=())
    affine = np.diag([*spacing[::-1], 1.0])
    scans = zip(MODALITIES, np.moveaxis(image, -1, 0), strict=True)
    images = {modality: Image(voxels.T, affine, Path(name), files=()) for modality, voxels in scans}
    facts = {**identity(case), "modalities": ",".join(MODALITIES), "same_grid": True, "finite": True}
    prepared = prepare_images(images, case=case, recipe=Recipe(**member.contract.preprocessing), facts=facts)
    judged(prepared)
    place: dict[str, Any] = {"brain": prepared.brain, "spacing": prepared.meta["spacing"]}
    probabilities = label_probabilities([member], image=prepared.image, flips=flips, **place)
    return restore_labels(labels_of(probabilities, thresholds=thresholds, **place), prepared.meta).T
