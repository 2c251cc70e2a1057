"""Prepares one case: reads its files, makes the networks' input, and measures the values of its row in the per-case table."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade import MAX_GB, MODALITIES
from brats_cascade.data import facts as measure
from brats_cascade.data.case import Case
from brats_cascade.data.images import Image, canonical_spacing, read_header, read_image, to_canonical
from brats_cascade.data.preprocess import AXES, bounding_box, brain_mask
from brats_cascade.data.standardise import standardise_all
from brats_cascade.data.store import StoredCase
from brats_cascade.data.truth import count_labels, label_facts, whole_labels
from brats_cascade.errors import UserError
from brats_cascade.labels import LABELS, SCHEMES, recode
from brats_cascade.params import Recipe

PER_VOXEL = 64  # bytes of memory in addition to the files: up to 62 with N4 and a brain that fills the volume


def check_memory(case: Case, *, max_gb: float, with_truth: bool = True) -> None:
    """Refuses a case that would need more than a number of gigabytes of memory; only the headers of its files are read.

    Raises:
        UserError: The case needs more, or a header cannot be read.
    """
    axes = 4 if case.channels else 3
    scans = dict.fromkeys(case.images[modality] for modality in MODALITIES)
    headers = {path: read_header(path, axes=axes) for path in scans}
    if with_truth and case.truth is not None:
        headers[case.truth] = read_header(case.truth)
    shapes = {path: header.shape[:3] for path, (header, _) in headers.items()}
    path, shape = max(shapes.items(), key=lambda item: math.prod(item[1]))
    needed = max(size for _, size in headers.values()) + sum(header.memory for header, _ in headers.values())
    needed += PER_VOXEL * math.prod(shape)
    if needed > max_gb * 1e9:
        size = " x ".join(map(str, shape))
        raise UserError(
            f"{path}: its case needs about {needed / 1e9:.1f} GB of memory ({size} voxels), the limit is {max_gb:g} GB; "
            "resample it, or raise ingest.max_gb (--max-gb)"
        )


def read_scans(case: Case, *, with_truth: bool, facts: dict[str, Any]) -> dict[str, Image]:
    """Reads each file of a case without problems once: modality, and if wanted "truth" -> volume.

    Checks that all volumes are on one grid and finite, and records `same_grid` and `finite` in `facts`.

    Raises:
        UserError: A file cannot be read, or does not fit the others.
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
            f"{image.path}: expected {modality} as volume {number} along the fourth axis, found {channels} volumes; "
            "export it with all four modalities"
        )
    return replace(image, array=image.array[..., number])


def _check_grid(images: Mapping[str, Image], *, facts: dict[str, Any]) -> None:
    """Checks that all files of a case are on one grid: the same shape, and corners within a tenth of a voxel."""
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
                f"{image.path}: is shifted by {apart:.3g} mm relative to {first.path.name}, or rotated; "
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


class CaseError(UserError):
    """A case that cannot be used, with the facts that were measured before the error."""

    def __init__(self, message: str, *, facts: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.facts = dict(facts)


def prepare_case(case: Case, *, recipe: Recipe, with_truth: bool = True, max_gb: float = MAX_GB) -> StoredCase:
    """Reads a case, checks it, and preprocesses it (paper section 4).

    Without `with_truth` the ground truth is not read, as in a prediction. `max_gb` limits the memory for the case.

    Raises:
        CaseError: Files are missing, too large, damaged or inconsistent. The message names the case and the fix.
    """
    facts = measure.identity(case)
    try:
        if case.problems and (with_truth or not _scans_are_there(case)):
            raise UserError("; ".join(case.problems))
        check_memory(case, max_gb=max_gb, with_truth=with_truth)
        images = read_scans(case, with_truth=with_truth, facts=facts)
        return prepare_images(images, case=case, recipe=recipe, facts=facts)
    except UserError as error:
        message = str(error)
        raise CaseError(message if message.startswith(case.name) else f"{case.name}: {message}", facts=facts) from None


def prepare_images(images: Mapping[str, Image], *, case: Case, recipe: Recipe, facts: dict[str, Any]) -> StoredCase:
    """Preprocesses the volumes of a case, as from `read_scans`; all measurements are added to `facts`.

    Raises:
        UserError: There is no brain, a modality is constant, or the ground truth has labels unknown to the case's release.
    """
    affine = images[MODALITIES[0]].affine
    spacing = canonical_spacing(affine)
    volumes = {part: to_canonical(image.array, affine=affine) for part, image in images.items()}
    brain = brain_mask([volumes[modality] for modality in MODALITIES])
    measured = zip((*measure.SPACINGS, *measure.SIZES), (*spacing, *brain.shape), strict=True)
    facts.update(measured, brain_fraction=float(np.count_nonzero(brain) / brain.size))
    if not brain.any():
        raise UserError("every voxel of every modality is 0; expected a brain; copy or export the files again")
    box = bounding_box(brain)
    inside = np.ascontiguousarray(brain[box])
    labels, outside = None, {}
    if "truth" in images:
        truth = whole_labels(volumes["truth"], path=images["truth"].path)
        found = count_labels(truth, path=images["truth"].path, case=case, facts=facts)
        labels = recode(truth[box], table=SCHEMES[case.scheme].to_canonical)
        counted = label_facts(found, labels=labels, brain=inside, scheme=case.scheme, voxel_mm3=float(np.prod(spacing)))
        for label in filter(None, LABELS):
            outside[str(label)] = counted[f"label_{label}"] - int(np.count_nonzero(labels == label))
        facts.update(counted)
    image, facts["voxels_hash"] = standardise_all(
        {modality: volumes[modality][box] for modality in MODALITIES},
        sources={modality: str(images[modality].path) for modality in MODALITIES},
        brain=inside, voxels=brain.size, spacing=spacing, recipe=recipe, facts=facts,
    )  # fmt: skip
    order = AXES[recipe.axis]
    meta = {
        **{key: facts[key] for key in ("case", "patient", "grade", "release", "scheme")},
        "shape": [int(brain.shape[axis]) for axis in order],
        "offset": [int(box[axis].start) for axis in order],
        "spacing": [float(spacing[axis]) for axis in order],
        "affine": affine.tolist(),
        **recipe.as_dict(),
        "modalities": list(MODALITIES),
        **_origin(images, channels=case.channels),
        "truth_outside_box": outside,
        "facts": facts,
    }
    return StoredCase(
        name=case.name,
        image=np.ascontiguousarray(image.transpose(*order, 3)),
        brain=np.ascontiguousarray(inside.transpose(order)),
        labels=None if labels is None else np.ascontiguousarray(labels.transpose(order)),
        meta=meta,
    )


def _origin(images: Mapping[str, Image], *, channels: Mapping[str, int]) -> dict[str, Any]:
    """What the meta says of a case's files: their sizes and hashes for every part and, for a 4-D file, its channels."""
    sources = {
        part: [{"file": file.path.name, "size": file.size, "sha256": file.sha256} for file in image.files]
        for part, image in images.items()
    }
    return {"sources": sources, **({"channels": dict(channels)} if channels else {})}


def _scans_are_there(case: Case) -> bool:
    """Whether each modality has exactly one file (or one channel of a file), so that any problem concerns the ground truth."""
    return set(case.images) == set(MODALITIES) and (bool(case.channels) or len(set(case.images.values())) > 1)
