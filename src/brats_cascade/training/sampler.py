"""Common base of both samplers: cases, a patch set, and windows cut from them with random changes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from brats_cascade.data.grid import Cell
from brats_cascade.labels import class_lookup
from brats_cascade.models.cascade import Geometry
from brats_cascade.params.train import TrainParams
from brats_cascade.training.augment import Variation, draw_variation
from brats_cascade.training.batches import Batch, TrainingCase

LEAST_MASS = 1e-6


class CaseSampler:
    """Cases and a patch set. Batch `step` depends on the seed and the step alone, so training can resume anywhere.

    Args:
        cases: The training cases.
        centres: A patch set (columns case, slice, row, column).
        classes: Canonical label of each class of the network.
        geometry: The network's field of view (CNN 2's if CNN 1 is frozen).
        weights: Case -> (slices, classes) weights (NaN for absent classes), or None for 1 everywhere.
        settings: The training settings.
        seed: Seed for all random choices.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        *,
        centres: pd.DataFrame,
        classes: Sequence[int],
        geometry: Geometry,
        weights: Mapping[str, np.ndarray] | None,
        settings: TrainParams,
        seed: int,
    ) -> None:
        self._cases = {case.name: case for case in cases}
        self._centres = centres[["case", "slice", "row", "column"]].reset_index(drop=True)
        self._lookup, self._classes = class_lookup(classes), len(classes)
        self._geometry, self._weights, self._settings, self._seed = geometry, weights, settings, seed

    def _stack(self, rows: np.ndarray, *, rng: np.random.Generator) -> Batch:
        """The windows around some rows of the patch set, as one batch."""
        centres = self._centres.iloc[rows].itertuples(index=False, name=None)
        parts = zip(*[self._window(*centre, rng=rng) for centre in centres], strict=True)
        *inputs, targets, weights = (np.stack(part) for part in parts)
        return Batch(inputs, targets, weights)

    def _window(self, name: str, layer: int, row: int, column: int, *, rng: np.random.Generator) -> list[np.ndarray]:
        """The inputs, targets and weights of the window around one row of the patch set."""
        raise NotImplementedError

    def _vary(self, case: TrainingCase, *, rng: np.random.Generator, centre: tuple[float, float]) -> Variation:
        """Draws the random changes of one window."""
        flip, maps = self._settings.flip and case.mirrors, case.maps is not None
        modalities, (_, height, width) = case.image.shape[-1], case.spacing
        if self._geometry.reads == "slabs":
            modalities -= 1  # the share of brain
            rows, columns = Cell.of(case.spacing).pixels
            height, width = height * rows, width * columns
        return draw_variation(
            rng,
            settings=self._settings,
            modalities=modalities,
            flip=flip,
            maps=maps,
            centre=centre,
            pixel=(height, width),
        )
