"""The patch sampler: mini-batches of patches with one labelled pixel each, as in the paper and the earlier work."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from brats_cascade.training.batches import Batch, TrainingCase
from brats_cascade.training.inputs import cut_inputs
from brats_cascade.training.sampler import LEAST_MASS, CaseSampler


class PatchSampler(CaseSampler):
    """Iterates over a patch set in mini-batches; the last one of a pass may be smaller.

    With `patch_order` "random" every pass has a new order. With "slices" the patches of one slice are used for `slice_epochs`
    passes before the next slice (the earlier work's order).
    """

    def __init__(self, cases: Sequence[TrainingCase], *, centres: pd.DataFrame, **given: Any) -> None:
        by_slice = given["settings"].patch_order == "slices"
        table = centres.sort_values(["case", "slice"], kind="stable") if by_slice else centres
        super().__init__(cases, centres=table, **given)
        # The set as groups that are processed one after another: slices, or a single group.
        sizes = self._centres.groupby(["case", "slice"]).size().to_numpy() if by_slice else [len(table)]
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self._passes = self._settings.slice_epochs if by_slice else 1
        self._batches = -(-np.asarray(sizes) // self._settings.batch)  # batches per pass through a group
        self._ends = np.cumsum(self._batches * self._passes)
        self._order: tuple[tuple[int, int, int], np.ndarray] | None = None

    def rows(self, step: int) -> np.ndarray:
        """Row numbers, in the sorted set, of the centres in the batch for a step."""
        turn, place = divmod(step, int(self._ends[-1]))
        group = int(np.searchsorted(self._ends, place, side="right"))
        inner = place - (int(self._ends[group - 1]) if group else 0)
        epoch, number = divmod(inner, int(self._batches[group]))
        key = (turn, group, epoch)
        order = self._order  # order of the pass from which a thread last drew
        if order is None or order[0] != key:
            size = int(self._starts[group + 1] - self._starts[group])
            order = self._order = key, np.random.default_rng([self._seed, 0, *key]).permutation(size)
        chosen = order[1][number * self._settings.batch : (number + 1) * self._settings.batch]
        return chosen + self._starts[group]

    def batch(self, step: int) -> Batch:
        """The batch for a step."""
        return self._stack(self.rows(step), rng=np.random.default_rng([self._seed, 1, step]))

    def label_masses(self) -> np.ndarray:
        """Each class's share of the total weight in the loss over the whole set; float64 (classes), each at least 1e-6."""
        pairs = [self._label(*row) for row in self._centres.itertuples(index=False, name=None)]
        targets, weights = (np.array(values) for values in zip(*pairs, strict=True))
        total = np.bincount(targets, weights=weights, minlength=self._classes)
        return np.maximum(total / total.sum(), LEAST_MASS)

    def _label(self, name: str, layer: int, row: int, column: int) -> tuple[int, float]:
        """The class and weight of one centre."""
        target = int(self._lookup[self._cases[name].labels[layer, row, column]])
        weight = 1.0 if self._weights is None else float(np.nan_to_num(self._weights[name][layer, target]))
        return target, weight

    def _window(self, name: str, layer: int, row: int, column: int, *, rng: np.random.Generator) -> list[np.ndarray]:
        case = self._cases[name]
        variation = self._vary(case, rng=rng, centre=(row, column))
        inputs = cut_inputs(
            case, layer=layer, top=row, left=column, size=1, geometry=self._geometry, variation=variation
        )
        target, weight = self._label(name, layer, row, column)
        return [*inputs, np.full((1, 1), target, np.uint8), np.full((1, 1), weight, np.float32)]
