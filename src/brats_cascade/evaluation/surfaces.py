"""Distances between the surfaces of two masks: HD95 and surface Dice, from surface elements with an area.

A surface element lies at the corner of eight voxels if some, but not all, are in the mask. Its area is that of the
marching-cubes triangles there, for voxels of the given size. The definition is that of Nikolov et al., arXiv 1809.04430, and
their package surface-distance, whose table of areas is used (its functions call names that NumPy 2 has removed).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from scipy.spatial import cKDTree
from surface_distance.lookup_tables import create_table_neighbour_code_to_surface_area

from brats_cascade.data.preprocess import bounding_box

_ROUNDING_MM = 1e-6


@dataclass(frozen=True)
class Surfaces:
    """Two surfaces, each given by the distance of every element to the other surface (mm) and its area (mm2).

    Distances are infinite if the other surface is empty.
    """

    truth: tuple[np.ndarray, np.ndarray]
    prediction: tuple[np.ndarray, np.ndarray]

    def hd95(self) -> float:
        """The larger directed 95th percentile, with elements weighted by area, mm; infinite if one surface is empty."""
        return max(_percentile95(*self.truth), _percentile95(*self.prediction))

    def dice(self, *, tolerance: float) -> float:
        """The share of both surfaces' area within `tolerance` mm of the other; 1 if both are empty."""
        distances, areas = (np.concatenate(pair) for pair in zip(self.truth, self.prediction, strict=True))
        whole = float(areas.sum())
        return float(areas[distances <= tolerance + _ROUNDING_MM].sum()) / whole if whole else 1.0


def measure_surfaces(truth: np.ndarray, prediction: np.ndarray, *, spacing: Sequence[float]) -> Surfaces:
    """Measures two bool masks (slices, rows, columns) of the same shape; `spacing` is mm along each axis."""
    sizes = tuple(map(float, spacing))
    (first, first_areas), (second, second_areas) = (_elements(mask, spacing=sizes) for mask in (truth, prediction))
    there, back = np.full(len(first), np.inf), np.full(len(second), np.inf)
    if len(first) and len(second):
        trees = [cKDTree(places, balanced_tree=False) for places in (second, first)]
        there, back = trees[0].query(first)[0], trees[1].query(second)[0]
    return Surfaces((there, first_areas), (back, second_areas))


def _elements(mask: np.ndarray, *, spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Positions (mm) and areas (mm2) of a mask's surface elements."""
    box = bounding_box(mask)
    mask = mask[box]
    padded = np.pad(mask, 1).astype(np.uint8)
    codes = np.zeros([side + 1 for side in mask.shape], np.uint8)
    for number, corner in enumerate(product((0, 1), repeat=3)):
        window = tuple(slice(start, start + side) for start, side in zip(corner, codes.shape, strict=True))
        codes |= padded[window] << (7 - number)
    places = np.argwhere((codes != 0) & (codes != 255))
    first = [side.start for side in box]
    return (places + first) * np.asarray(spacing), _areas(spacing)[codes[tuple(places.T)]]


@cache
def _areas(spacing: tuple[float, ...]) -> np.ndarray:
    """The area of an element, mm2, indexed by the eight surrounding voxels as the bits of a number."""
    return np.asarray(create_table_neighbour_code_to_surface_area(spacing))


def _percentile95(distances: np.ndarray, areas: np.ndarray) -> float:
    if not len(distances):
        return float("inf")
    order = np.argsort(distances)
    shares = np.cumsum(areas[order]) / areas.sum()
    return float(distances[order][min(int(np.searchsorted(shares, 0.95)), len(order) - 1)])
