"""What the training loop is given: cases, batches, samplers, and batches made ahead in a thread."""

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from brats_cascade.data.grid import Grid, block_centres, coarse_slabs


@dataclass(frozen=True)
class TrainingCase:
    """One case as the samplers see it.

    Attributes:
        name: The case.
        image: float32 (slices, rows, columns, modalities), zero outside the brain.
        brain: bool (slices, rows, columns).
        labels: Canonical labels, uint8 (slices, rows, columns).
        maps: CNN 1's probabilities (slices, rows + 32, columns + 32, classes), a margin of 16 pixels a side, or None. In a
            coarse cascade (slabs, rows, columns, classes), of cells of 4 mm.
        mirrors: Whether a flip of the columns exchanges left and right; where it does not, windows are never flipped.
        patient: Whose case it is; "" where each case is a patient of its own.
        group: Release and grade, over which inner folds spread the patients evenly.
        spacing: Of the voxels (slice, row, column), mm.
    """

    name: str
    image: np.ndarray
    brain: np.ndarray
    labels: np.ndarray
    maps: np.ndarray | None = None
    mirrors: bool = True
    patient: str = ""
    group: str = ""
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @functools.cached_property
    def digest(self) -> str:
        """A hash of the voxels, brain and labels; reads them all, once."""
        digest = hashlib.sha256(repr(self.spacing).encode())
        for array in (self.image, self.brain, self.labels):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @functools.cached_property
    def on_coarse_grid(self) -> "TrainingCase":
        """The case as CNN 1 of the coarse cascade sees it: slabs as image, and of each cell the label in its middle."""
        grid = Grid.of(self.spacing)
        image = coarse_slabs(self.image, brain=self.brain, grid=grid)
        brain, labels = (block_centres(np.asarray(part), steps=grid.coarse) for part in (self.brain, self.labels))
        return replace(self, image=image, brain=brain, labels=labels)


@dataclass(frozen=True)
class TrainingData:
    """What a network is trained on.

    Attributes:
        train: The training cases.
        validation: The cases whose scores choose the weights.
        patch_sets: "phase1" and "phase2": centres (case, slice, row, column).
        classes: Canonical label of each class.
    """

    train: Sequence[TrainingCase]
    validation: Sequence[TrainingCase]
    patch_sets: Mapping[str, pd.DataFrame]
    classes: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """What one training step gets; the same for tiles and for patches, which are tiles of one pixel.

    Attributes:
        inputs: [image windows] or [image windows, CNN 1 windows], float32 (windows, rows, columns, channels).
        targets: Class numbers (windows, rows, columns), uint8.
        weights: Of every pixel in the loss (windows, rows, columns), float32.
    """

    inputs: list[np.ndarray]
    targets: np.ndarray
    weights: np.ndarray

    @property
    def given(self) -> Any:
        """The inputs as Keras takes them: a list only where there are several."""
        return self.inputs if len(self.inputs) > 1 else self.inputs[0]


class Sampler(Protocol):
    """Where batches come from; several threads may ask at once.

    Batch `step` is a function of the step alone, so training can resume anywhere.
    """

    def batch(self, step: int) -> Batch:
        """The batch of one step."""

    def label_masses(self) -> np.ndarray:
        """Share of the loss's weight on each class, float64 (classes), each at least 1e-6."""


def prefetch(sampler: Sampler, *, first: int, last: int, threads: int = 1) -> Iterator[tuple[int, Batch]]:
    """Yields (step, batch) for first <= step < last; each thread keeps three batches ready while the network computes."""
    steps, ahead = range(first, last), 3 * threads
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(sampler.batch, step) for step in steps[:ahead]]
        for position, step in enumerate(steps):
            batch = waiting.pop(0).result()
            if position + ahead < len(steps):
                waiting.append(pool.submit(sampler.batch, steps[position + ahead]))
            yield step, batch
