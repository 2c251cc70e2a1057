"""Reads all files of a case, and refuses those that do not fit together."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.case import Case
from brats_cascade.data.images import Image, read_image
from brats_cascade.errors import UserError


def read_scans(case: Case, *, with_truth: bool, facts: dict[str, Any]) -> dict[str, Image]:
    """Reads the files of a case without problems, each once.

    Returns:
        Modality, and "truth" where it was read -> volume, all on one grid and finite; `same_grid` and `finite` go into `facts`.

    Raises:
        UserError: A file that cannot be read, or that does not fit the others.
    """
    whole: dict[Path, Image] = {}
    images = {}
    for modality in MODALITIES:
        path = case.images[modality]
        if modality not in case.channels:
            images[modality] = read_image(path)
            continue
        if path not in whole:
            whole[path] = read_image(path, axes=4)
        images[modality] = _channel(whole[path], number=case.channels[modality], modality=modality)
    if with_truth and case.truth is not None:
        images["truth"] = read_image(case.truth)
    _check_grid(images, facts=facts)
    _check_finite(images, facts=facts)
    return images


def _channel(image: Image, *, number: int, modality: str) -> Image:
    channels = image.array.shape[3]
    if number >= channels:
        raise UserError(
            f"{image.path}: expected {modality} as number {number} along the fourth axis, found {channels} volumes; "
            "export it with all four modalities"
        )
    return replace(image, array=image.array[..., number])


def _check_grid(images: Mapping[str, Image], *, facts: dict[str, Any]) -> None:
    """All files of a case must lie on one grid: equal shapes, corners within a tenth of a voxel."""
    first = images[MODALITIES[0]]
    corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * [*first.array.shape, 1]
    spacing = np.sqrt((first.affine[:3, :3] ** 2).sum(axis=0)).min()
    facts["same_grid"] = False
    for image in images.values():
        if image.array.shape != first.array.shape:
            raise UserError(
                f"{image.path}: expected the shape of {first.path.name}, {first.array.shape}, found "
                f"{image.array.shape}; resample all files of the case to one grid"
            )
        apart = np.abs(corners @ (image.affine - first.affine).T).max()
        if apart > 0.1 * spacing:
            raise UserError(
                f"{image.path}: lies {apart:.3g} mm off {first.path.name}, or is turned against it; "
                "resample all files of the case to one grid"
            )
    facts["same_grid"] = True


def _check_finite(images: Mapping[str, Image], *, facts: dict[str, Any]) -> None:
    facts["finite"] = False
    for part, image in images.items():
        if image.array.dtype.kind == "f" and not np.isfinite(image.array).all():
            wrong = int(np.count_nonzero(~np.isfinite(image.array)))
            raise UserError(
                f"{image.path}: {part}: expected finite numbers, {wrong} of {image.array.size} voxels are NaN or "
                "infinite; export it again"
            )
    facts["finite"] = True
