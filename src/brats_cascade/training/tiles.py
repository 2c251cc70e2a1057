"""The tile sampler: windows around the centres of a patch set, with many labelled pixels each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from brats_cascade.data.windows import cut_window, place_window
from brats_cascade.labels import class_lookup
from brats_cascade.models.cascade import Geometry
from brats_cascade.training.augment import draw_variation
from brats_cascade.training.batches import Batch, TrainingCase, cut_inputs, stack_batch

LEAST_MASS = 1e-6


class TileSampler:
    """Draws batches of tiles; batch `step` is a function of the seed and the step alone, so training can resume anywhere.

    Args:
        cases: The training cases.
        centres: A patch set (columns case, slice, row, column): each tile is a window around one of its rows.
        classes: Canonical label of each class of the network.
        geometry: What the network needs around a pixel (of CNN 2 where a CNN 1 is frozen).
        joined: Side of CNN 1's output needed for one output pixel, 0 without maps.
        tile: Side of the window that gets outputs, pixels.
        batch: Tiles per step.
        weights: (case, slice) -> weight of each class (NaN where absent), or None for 1 everywhere.
        flip: Random left-right flips.
        intensity: Standard deviation of the random shift, and of the log of the random scale, of each modality.
        seed: Of every random choice.
        loss_on: "brain": every brain pixel of a tile counts; "centres": only those that are rows of `centres`, as if
            each had come as a patch.

    Raises:
        ValueError: `loss_on` is neither.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        *,
        centres: pd.DataFrame,
        classes: Sequence[int],
        geometry: Geometry,
        joined: int,
        tile: int,
        batch: int,
        weights: Mapping[str, np.ndarray] | None,
        flip: bool,
        intensity: float,
        seed: int,
        loss_on: str = "brain",
    ) -> None:
        if loss_on not in ("brain", "centres"):
            raise ValueError(f"expected loss_on 'brain' or 'centres', received {loss_on!r}")
        self._cases = {case.name: case for case in cases}
        self._centres = centres[["case", "slice", "row", "column"]].reset_index(drop=True)
        self._lookup, self._classes = class_lookup(classes), len(classes)
        self._geometry, self._joined, self._tile, self._batch = geometry, joined, tile, batch
        self._weights, self._flip, self._intensity, self._seed = weights, flip, intensity, seed
        self._sampled = None if loss_on == "brain" else _by_slice(self._centres)

    def batch(self, step: int) -> Batch:
        """The batch of one step."""
        rng = np.random.default_rng([self._seed, step])
        rows = self._centres.iloc[rng.integers(len(self._centres), size=self._batch)]
        return stack_batch([self._tile_at(*row, rng=rng) for row in rows.itertuples(index=False, name=None)])

    def label_masses(self, *, batches: int = 64) -> np.ndarray:
        """Share of the loss's weight on each class over the first batches; float64 (classes), each at least 1e-6."""
        total = np.zeros(self._classes)
        for step in range(batches):
            batch = self.batch(step)
            total += np.bincount(batch.targets.ravel(), weights=batch.weights.ravel(), minlength=self._classes)
        return np.maximum(total / total.sum(), LEAST_MASS)

    def _tile_at(
        self, name: str, layer: int, row: int, column: int, *, rng: np.random.Generator
    ) -> tuple[np.ndarray, ...]:
        case, size = self._cases[name], self._tile
        jitter = rng.integers(-(size // 3), size // 3 + 1, size=2)
        height, width = case.brain.shape[1:]
        top = place_window(row + jitter[0], size=size, length=height)
        left = place_window(column + jitter[1], size=size, length=width)
        variation = draw_variation(
            rng, modalities=case.image.shape[-1], intensity=self._intensity, flip=self._flip and case.mirrors
        )
        inputs = cut_inputs(
            case, layer=layer, top=top, left=left, size=size, geometry=self._geometry, joined=self._joined,
            variation=variation,
        )  # fmt: skip
        target = self._lookup[cut_window(case.labels[layer], top=top, left=left, rows=size, columns=size)]
        weight = cut_window(case.brain[layer], top=top, left=left, rows=size, columns=size).astype(np.float32)
        if self._weights is not None:
            weight *= np.nan_to_num(self._weights[name][layer]).astype(np.float32)[target]
        if self._sampled is not None:
            weight *= _mask(self._sampled[name, layer], top=top, left=left, size=size)
        if variation.flipped:
            target, weight = target[:, ::-1], weight[:, ::-1]
        return (*inputs, target, weight)


def _by_slice(centres: pd.DataFrame) -> dict[tuple[str, int], np.ndarray]:
    """(case, slice) -> rows and columns of its centres, int64 (n, 2)."""
    places = centres[["row", "column"]].to_numpy(dtype=np.int64)
    groups: Any = centres.groupby(["case", "slice"], sort=False).indices
    return {(str(name), int(layer)): places[rows] for (name, layer), rows in groups.items()}


def _mask(places: np.ndarray, *, top: int, left: int, size: int) -> np.ndarray:
    """float32 (size, size): 1 where a centre lies."""
    mask = np.zeros((size, size), dtype=np.float32)
    rows, columns = (places - [top, left]).T
    inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
    mask[rows[inside], columns[inside]] = 1
    return mask
