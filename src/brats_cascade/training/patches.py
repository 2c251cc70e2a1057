"""The patch sampler: mini-batches of cut patches, one labelled pixel each (the paper's and the earlier work's way)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from brats_cascade.labels import class_lookup
from brats_cascade.models.cascade import Geometry
from brats_cascade.training.augment import draw_variation
from brats_cascade.training.batches import Batch, TrainingCase, cut_inputs, stack_batch
from brats_cascade.training.tiles import LEAST_MASS


class PatchSampler:
    """Goes through a patch set in mini-batches; batch `step` is a function of the seed and the step alone.

    Args:
        cases: The training cases.
        centres: A patch set (columns case, slice, row, column).
        classes: Canonical label of each class of the network.
        geometry: What the network needs around a pixel (of CNN 2 where a CNN 1 is frozen).
        joined: Side of CNN 1's output needed for one output pixel, 0 without maps.
        batch: Patches per step; the last batch of a pass may be smaller.
        weights: (case, slice) -> weight of each class (NaN where absent), or None for 1 everywhere.
        flip: Random left-right flips.
        intensity: Standard deviation of the random shift, and of the log of the random scale, of each modality.
        seed: Of every random choice.
        order: "random": every pass through the set in a new order; "slices": one slice at a time, `slice_epochs` passes
            through its patches before the next slice comes (the earlier work's order).
        slice_epochs: Passes through a slice, with order "slices".

    Raises:
        ValueError: `order` is neither.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        *,
        centres: pd.DataFrame,
        classes: Sequence[int],
        geometry: Geometry,
        joined: int,
        batch: int,
        weights: Mapping[str, np.ndarray] | None,
        flip: bool,
        intensity: float,
        seed: int,
        order: str = "random",
        slice_epochs: int = 5,
    ) -> None:
        if order not in ("random", "slices"):
            raise ValueError(f"expected order 'random' or 'slices', received {order!r}")
        self._cases = {case.name: case for case in cases}
        keys = ["case", "slice", "row", "column"]
        table = centres[keys].sort_values(["case", "slice"], kind="stable") if order == "slices" else centres[keys]
        self._centres = table.reset_index(drop=True)
        self._lookup, self._classes = class_lookup(classes), len(classes)
        self._geometry, self._joined, self._batch = geometry, joined, batch
        self._weights, self._flip, self._intensity, self._seed = weights, flip, intensity, seed
        # The set as groups that are gone through one after another: slices, or one group of everything.
        sizes = self._centres.groupby(["case", "slice"]).size().to_numpy() if order == "slices" else [len(table)]
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self._passes = slice_epochs if order == "slices" else 1
        self._batches = -(-np.asarray(sizes) // batch)  # per pass through a group
        self._ends = np.cumsum(self._batches * self._passes)
        self._order: tuple[tuple[int, int, int], np.ndarray] | None = None

    def rows(self, step: int) -> np.ndarray:
        """Numbers of the centres in the batch of one step, in the order of the (sorted) set."""
        turn, place = divmod(step, int(self._ends[-1]))
        group = int(np.searchsorted(self._ends, place, side="right"))
        inner = place - (int(self._ends[group - 1]) if group else 0)
        epoch, number = divmod(inner, int(self._batches[group]))
        key = (turn, group, epoch)
        if self._order is None or self._order[0] != key:
            size = int(self._starts[group + 1] - self._starts[group])
            self._order = key, np.random.default_rng([self._seed, 0, *key]).permutation(size)
        chosen = self._order[1][number * self._batch : (number + 1) * self._batch]
        return chosen + self._starts[group]

    def batch(self, step: int) -> Batch:
        """The batch of one step."""
        rng = np.random.default_rng([self._seed, 1, step])
        rows = self._centres.iloc[self.rows(step)]
        return stack_batch([self._patch_at(*row, rng=rng) for row in rows.itertuples(index=False, name=None)])

    def label_masses(self) -> np.ndarray:
        """Share of the loss's weight on each class over the whole set; float64 (classes), each at least 1e-6."""
        pairs = [self._label(*row) for row in self._centres.itertuples(index=False, name=None)]
        targets, weights = (np.array(values) for values in zip(*pairs, strict=True))
        total = np.bincount(targets, weights=weights, minlength=self._classes)
        return np.maximum(total / total.sum(), LEAST_MASS)

    def _label(self, name: str, layer: int, row: int, column: int) -> tuple[int, float]:
        """Class and weight of one centre."""
        target = int(self._lookup[self._cases[name].labels[layer, row, column]])
        weight = 1.0 if self._weights is None else float(np.nan_to_num(self._weights[name][layer, target]))
        return target, weight

    def _patch_at(
        self, name: str, layer: int, row: int, column: int, *, rng: np.random.Generator
    ) -> tuple[np.ndarray, ...]:
        case = self._cases[name]
        variation = draw_variation(
            rng, modalities=case.image.shape[-1], intensity=self._intensity, flip=self._flip and case.mirrors
        )
        inputs = cut_inputs(
            case, layer=layer, top=row, left=column, size=1, geometry=self._geometry, joined=self._joined,
            variation=variation,
        )  # fmt: skip
        target, weight = self._label(name, layer, row, column)
        return (*inputs, np.full((1, 1), target, np.uint8), np.full((1, 1), weight, np.float32))
