"""Removes components that cannot be tumour: small detached ones and flat ones near the skull; relabels small ones inside it.

The paper removes flat blobs near the skull by connected components (section 4) but gives no rule. Here a connected component
(26 neighbours) of the complete tumour is removed if it is smaller than `min_component`, or if it is close to the brain's edge,
flat, and smaller than `skull_volume`. Then components of the core below `inner_component` become edema, and those of the
enhancing tumour become necrosis, because BraTS 2023 counts every component that matches no true lesion as a false one, however
small. The largest component of a region is always kept. The evaluate stage chooses these thresholds and the operating point on
the validation patients.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product

import numpy as np
from scipy import ndimage

from brats_cascade.labels import EDEMA, NECROSIS, region_mask

TOUCHING = np.ones((3, 3, 3))
# The label that a small component of an inner region gets: one that belongs to the enclosing region, but not to its own.
INNER = {"core": EDEMA, "enhancing": NECROSIS}


@dataclass(frozen=True)
class Thresholds:
    """The operating point, and the rule by which components are removed.

    Attributes:
        min_component: Smaller components are removed, mm3; below 1 it is a share of the largest component. 0 disables this.
        skull_distance: Components whose mean distance to the brain's edge is smaller are removed if they are also flat and
            small, mm. 0 disables this.
        flatness: Thickness over width (see `Components`) below which a component is flat.
        skull_volume: Volume below which it is small, mm3.
        inner_component: Smaller components of the core become edema, and of the enhancing tumour necrosis; as `min_component`.
        operating_point: Added to the score of non-tumour before the most probable label is chosen; below 0, more voxels
            become tumour.
    """

    min_component: float = 0.0
    skull_distance: float = 0.0
    flatness: float = 0.5
    skull_volume: float = 5000.0
    inner_component: float = 0.0
    operating_point: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """For JSON; thresholds with the same effect give the same numbers."""
        near = asdict(self) if self.skull_distance else {**asdict(self), "flatness": 0.0, "skull_volume": 0.0}
        return {name: float(value) for name, value in near.items()}

    def __str__(self) -> str:
        parts, removed = [], []
        if self.operating_point:
            parts.append(f"adds {self.operating_point:g} to the score of non-tumour")
        if self.min_component:
            removed.append(f"components below {_least(self.min_component)}")
        if self.skull_distance:
            removed.append(
                f"blobs within {self.skull_distance:g} mm of the brain's edge, flatter than {self.flatness:g} and below "
                f"{self.skull_volume:g} mm3"
            )
        if removed or not self.inner_component:
            parts.append(f"removes {' and '.join(removed) or 'nothing'}")
        if self.inner_component:
            parts.append(f"relabels components of core and enhancing tumour below {_least(self.inner_component)}")
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


OFF = Thresholds()
THRESHOLDS = tuple(field.name for field in fields(Thresholds))


@dataclass(frozen=True)
class Components:
    """The connected components of a complete tumour, numbered from 1; each measure has one value per component.

    Attributes:
        parts: int (slices, rows, columns), 0 outside.
        volumes: mm3.
        distances: Mean distance of the voxels to the nearest point outside the brain, mm.
        flatness: Thickness over width: the smallest principal extent over the middle one; about 0 for a plate, 1 for a
            ball or a rod.
    """

    parts: np.ndarray
    volumes: np.ndarray
    distances: np.ndarray
    flatness: np.ndarray

    def removed(self, thresholds: Thresholds) -> np.ndarray:
        """Whether each component is removed, bool; the largest never is."""
        near = (self.distances < thresholds.skull_distance) & (self.flatness < thresholds.flatness)
        small = is_small(self.volumes, least=thresholds.min_component)
        gone = small | (near & (self.volumes < thresholds.skull_volume))
        gone[_largest(self.volumes)] = False
        return gone


def is_small(volumes: np.ndarray, *, least: float) -> np.ndarray:
    """Whether each component, given its volume in mm3, is below `least`: mm3, or below 1 a share of the largest.

    The largest component never is.
    """
    largest = float(volumes.max(initial=0))
    small = volumes < least * (largest if least < 1 else 1.0)
    small[_largest(volumes)] = False
    return small


def _least(least: float) -> str:
    """A threshold in words."""
    return f"{least:.3g} of the largest" if least < 1 else f"{least:g} mm3"


def _largest(volumes: np.ndarray) -> slice:
    """The place of the largest component; empty if there is none."""
    place = int(volumes.argmax()) if len(volumes) else 0
    return slice(place, place + 1)


def find_components(labels: np.ndarray, *, brain: np.ndarray | None, spacing: Sequence[float]) -> Components:
    """Finds the components of canonical labels (slices, rows, columns), and measures what the thresholds are compared with.

    `brain` is bool of the same shape; everything beyond the volume's edge is outside the brain. If it is None, only volumes are
    measured, and no component is near the skull.
    """
    parts, count = ndimage.label(labels > 0, structure=TOUCHING)
    volumes = np.bincount(parts.ravel(), minlength=count + 1)[1:] * float(np.prod(spacing))
    if brain is None:
        return Components(parts, volumes, np.full(count, np.inf), np.zeros(count))
    depth = brain_depth(brain, spacing=spacing) if count > 1 else np.zeros(labels.shape)
    distances = np.atleast_1d(ndimage.mean(depth, parts, np.arange(1, count + 1))) if count else np.zeros(0)
    boxes = enumerate(ndimage.find_objects(parts), start=1)
    return Components(parts, volumes, distances, np.array([_flatness(parts[box] == of, spacing) for of, box in boxes]))


def brain_depth(brain: np.ndarray, *, spacing: Sequence[float]) -> np.ndarray:
    """Distance of every voxel to the nearest one outside the brain, mm; 0 outside. Holes in the brain count as brain."""
    empty = np.pad(~brain, 1, constant_values=True)
    regions, _ = ndimage.label(empty)
    inside = regions != regions[0, 0, 0]
    return ndimage.distance_transform_edt(inside, sampling=tuple(spacing))[1:-1, 1:-1, 1:-1]


def remove_components(
    labels: np.ndarray, *, brain: np.ndarray, spacing: Sequence[float], thresholds: Thresholds
) -> np.ndarray:
    """A uint8 copy of canonical labels (slices, rows, columns) without the components that the thresholds remove.

    `brain` is bool of the same shape, `spacing` the voxel spacing, mm.
    """
    cleaned = labels.astype(np.uint8, copy=True)
    if thresholds.min_component or thresholds.skull_distance:
        found = find_components(labels, brain=brain if thresholds.skull_distance else None, spacing=spacing)
        cleaned[np.concatenate([[False], found.removed(thresholds)])[found.parts]] = 0
    for region, label in INNER.items() if thresholds.inner_component else ():
        parts, count = ndimage.label(region_mask(cleaned, region=region), structure=TOUCHING)
        volumes = np.bincount(parts.ravel(), minlength=count + 1)[1:] * float(np.prod(spacing))
        cleaned[np.concatenate([[False], is_small(volumes, least=thresholds.inner_component)])[parts]] = label
    return cleaned


def all_thresholds(candidates: Mapping[str, Iterable[float]]) -> list[Thresholds]:
    """All combinations of the candidates (attribute -> values) without duplicates, those that change least first."""
    combinations = [
        Thresholds(**dict(zip(candidates, values, strict=True))) for values in product(*candidates.values())
    ]
    distinct = {tuple(thresholds.as_dict().values()): thresholds for thresholds in combinations}
    return [distinct[key] for key in sorted(distinct, key=lambda values: (abs(values[-1]), values))]


def _flatness(part: np.ndarray, spacing: Sequence[float]) -> float:
    """Square root of the smallest over the middle principal variance of a mask; voxels count as boxes, not as points."""
    points = np.argwhere(part) * np.asarray(spacing)
    spread = np.cov(points.T, bias=True) if len(points) > 1 else np.zeros((3, 3))
    low, middle, _ = np.linalg.eigvalsh(spread + np.diag(np.square(spacing) / 12.0))
    return float(np.sqrt(low / middle))
