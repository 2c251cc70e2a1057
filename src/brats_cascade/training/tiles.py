"""The tile sampler: windows around the centres of a patch set, with many labelled pixels each."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from brats_cascade.data.windows import place_window, round_up
from brats_cascade.training.batches import Batch, TrainingCase
from brats_cascade.training.inputs import cut_inputs
from brats_cascade.training.sampler import LEAST_MASS, CaseSampler
from brats_cascade.training.warp import cut_warped


class TileSampler(CaseSampler):
    """Draws batches of tiles, each a window around one row of the patch set.

    With `loss_on` "brain" all brain pixels of a tile count. With "centres" only those in the patch set count, as if each were a
    separate patch.
    """

    def __init__(self, cases: Sequence[TrainingCase], **given: Any) -> None:
        super().__init__(cases, **given)
        self._sampled = None if self._settings.loss_on == "brain" else _by_slice(self._centres)

    def batch(self, step: int) -> Batch:
        """The batch for a step."""
        rng = np.random.default_rng([self._seed, step])
        return self._stack(rng.integers(len(self._centres), size=self._settings.batch), rng=rng)

    def label_masses(self, *, batches: int = 64) -> np.ndarray:
        """Each class's share of the total weight in the loss over the first batches; float64 (classes), each at least 1e-6."""
        total = np.zeros(self._classes)
        for step in range(batches):
            batch = self.batch(step)
            total += np.bincount(batch.targets.ravel(), weights=batch.weights.ravel(), minlength=self._classes)
        return np.maximum(total / total.sum(), LEAST_MASS)

    def _window(self, name: str, layer: int, row: int, column: int, *, rng: np.random.Generator) -> list[np.ndarray]:
        case, steps = self._cases[name], self._geometry.step
        size = round_up(self._settings.tile, multiple=math.lcm(*steps))
        jitter = rng.integers(-(size // 3), size // 3 + 1, size=2)
        height, width = case.brain.shape[1:]
        top = place_window(row + jitter[0], size=size, length=height) // steps[0] * steps[0]
        left = place_window(column + jitter[1], size=size, length=width) // steps[1] * steps[1]
        centre = top + (size - 1) / 2, left + (size - 1) / 2
        variation = self._vary(case, rng=rng, centre=centre)
        cut = functools.partial(cut_warped, box=(top, left, size, size), warp=variation.warp)
        inputs = cut_inputs(
            case, layer=layer, top=top, left=left, size=size, geometry=self._geometry, variation=variation
        )
        target = self._lookup[cut(case.labels[layer])]
        weight = cut(case.brain[layer]).astype(np.float32)
        if self._weights is not None:
            weight *= np.nan_to_num(self._weights[name][layer]).astype(np.float32)[target]
        if self._sampled is not None:
            weight *= cut(_mask(self._sampled[name, layer], shape=(height, width)))
        if variation.flipped:
            target, weight = target[:, ::-1], weight[:, ::-1]
        return [*inputs, target, weight]


def _by_slice(centres: pd.DataFrame) -> dict[tuple[str, int], np.ndarray]:
    """(case, slice) -> rows and columns of its centres, int64 (n, 2)."""
    places = centres[["row", "column"]].to_numpy(dtype=np.int64)
    groups: Any = centres.groupby(["case", "slice"], sort=False).indices
    return {(str(name), int(layer)): places[rows] for (name, layer), rows in groups.items()}


def _mask(places: np.ndarray, *, shape: tuple[int, int]) -> np.ndarray:
    """A mask of the slice's shape, float32, with 1 at the centres."""
    mask = np.zeros(shape, dtype=np.float32)
    mask[tuple(places.T)] = 1
    return mask
