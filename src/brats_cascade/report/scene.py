"""Prepares the content of a viewer page: 8-bit volumes of one case on one grid, cropped, with volumes and Dice."""

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np
from PIL import Image

from brats_cascade import MODALITIES
from brats_cascade.data.images import canonical_affine
from brats_cascade.data.preprocess import AXES, bounding_box, uncrop
from brats_cascade.drawing.figures import LABEL_COLOURS
from brats_cascade.drawing.overlays import best_slice
from brats_cascade.evaluation.score_files import Place
from brats_cascade.labels import SCHEMES, region_mask
from brats_cascade.report.embed import webp

LIMITS = (0.1, 99.9)  # percentiles of the brain's intensities that are mapped to 1 and 255; 0 is air
THUMBNAIL = 176  # longer side, pixels


@dataclass(frozen=True)
class Scene:
    """The content of a viewer page.

    `volumes` are the modalities, and "truth" and "prediction" if available: uint8 (slices, rows, columns) in the canonical
    frame, canonical labels, or intensities from 1 to 255 with 0 for air.
    """

    name: str
    volumes: Mapping[str, np.ndarray]
    affine: np.ndarray  # affine from (column, row, slice) to mm, RAS, 4 x 4
    scheme: str  # a key of SCHEMES; names the labels
    first: tuple[int, int, int]  # indices of the first slice, row and column in the whole volume
    regions: Mapping[str, Mapping[str, float | None]]  # -> "truth_cm3", "predicted_cm3" and "dice", None if not known

    @property
    def centre(self) -> tuple[int, int, int]:
        """The slice with the largest tumour, and the row and column of a voxel at its centre."""
        shape = self.volumes[MODALITIES[0]].shape
        number = best_slice(self.volumes.get("truth"), self.volumes.get("prediction"), slices=shape[0])
        for part in ("truth", "prediction"):
            if part in self.volumes and self.volumes[part][number].any():
                rows, columns = np.nonzero(self.volumes[part][number])
                return number, int(np.median(rows)), int(np.median(columns))
        return number, shape[1] // 2, shape[2] // 2


def make_scene(
    name: str,
    *,
    image: np.ndarray,
    meta: Mapping[str, Any],
    truth: np.ndarray | None = None,
    prediction: np.ndarray | None = None,
) -> Scene:
    """Puts the modalities and labels of a case on one grid.

    `image` and `meta` are those of `store.StoredCase`; ground truth and prediction are canonical labels as from `whole`.
    """
    labels = {"truth": truth, "prediction": prediction}
    volumes = {part: whole(eight_bit(image[..., place]), meta=meta) for place, part in enumerate(meta["modalities"])}
    volumes |= {part: voxels for part, voxels in labels.items() if voxels is not None}
    box = bounding_box(np.any([voxels > 0 for voxels in volumes.values()], axis=0))
    first = (int(box[0].start), int(box[1].start), int(box[2].start))
    shape = next(iter(volumes.values())).shape
    affine = canonical_affine(np.array(meta["affine"]), shape=shape)
    affine[:3, 3] += affine[:3, :3] @ first[::-1]
    return Scene(
        name=name,
        volumes={part: np.ascontiguousarray(voxels[box]) for part, voxels in volumes.items()},
        affine=affine,
        scheme=meta["scheme"],
        first=first,
        regions=_regions(truth, prediction, scheme=meta["scheme"], voxel=float(np.prod(meta["spacing"]))),
    )


def eight_bit(intensities: np.ndarray) -> np.ndarray:
    """Intensities scaled to 1 to 255 between their `LIMITS`; exact zeros stay 0."""
    inside = intensities != 0
    low, high = np.percentile(intensities[inside], LIMITS) if inside.any() else (0.0, 1.0)
    shares = ((intensities - low) / max(high - low, 1e-6)).clip(0, 1)
    return np.where(inside, np.rint(1 + 254 * shares), 0).astype(np.uint8)


def whole(cropped: np.ndarray, *, meta: Mapping[str, Any]) -> np.ndarray:
    """A volume of the stored box placed in the whole volume, (slices, rows, columns) of the canonical frame."""
    order = np.argsort(AXES[meta.get("axis", "axial")])
    return uncrop(cropped, offset=meta["offset"], shape=meta["shape"]).transpose(order)


def place_of(meta: Mapping[str, Any]) -> Place:
    """The grid of the case's files."""
    shape = [meta["shape"][axis] for axis in np.argsort(AXES[meta.get("axis", "axial")])]
    return Place.of(np.array(meta["affine"]), shape=shape)


def packed(voxels: np.ndarray, *, affine: np.ndarray) -> str:
    """A volume (slices, rows, columns) as a base64-encoded .nii.gz; equal volumes give equal text."""
    image = nibabel.Nifti1Image(np.ascontiguousarray(voxels.T), affine)
    image.header.set_xyzt_units("mm")
    return base64.b64encode(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)).decode()


def thumbnail(scene: Scene) -> str:
    """The slice with the largest tumour as a data URI: FLAIR with labels, those of the prediction if there is one."""
    number = scene.centre[0]
    grey = scene.volumes["flair"][number]
    labels = scene.volumes.get("prediction", scene.volumes.get("truth", 0 * scene.volumes["flair"]))[number]
    pixels = np.repeat(grey[..., None], 3, axis=-1).astype(float)
    for label, colour in LABEL_COLOURS.items():
        tint = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        pixels[labels == label] = 0.45 * pixels[labels == label] + 0.55 * np.array(tint)
    height, width = np.linalg.norm(scene.affine[:3, :3], axis=0)[[1, 0]] * grey.shape
    scale = THUMBNAIL / max(height, width)
    picture = Image.fromarray(pixels[::-1, ::-1].astype(np.uint8))  # the patient's left is shown on the right
    return webp(picture.resize((max(1, round(width * scale)), max(1, round(height * scale)))), quality=80)


def _regions(
    truth: np.ndarray | None, prediction: np.ndarray | None, *, scheme: str, voxel: float
) -> dict[str, dict[str, float | None]]:
    """Volumes in cm3 and Dice of the regions that the scheme defines, for the whole volume, as scored by `evaluate`."""
    found: dict[str, dict[str, float | None]] = {}
    for region in SCHEMES[scheme].regions:
        masks = [None if each is None else region_mask(each, region=region) for each in (truth, prediction)]
        cm3 = [None if mask is None else int(mask.sum()) * voxel / 1000 for mask in masks]
        found[region] = {"truth_cm3": cm3[0], "predicted_cm3": cm3[1], "dice": None}
        if masks[0] is not None and masks[1] is not None:
            both = int(masks[0].sum() + masks[1].sum())
            found[region]["dice"] = 2 * int((masks[0] & masks[1]).sum()) / both if both else 1.0
    return found
