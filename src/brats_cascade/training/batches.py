"""The training loop's input: cases, batches, samplers, and batches prepared in a thread."""

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from brats_cascade.data.grid import Cell, block_centres, coarse_cells, slabs_of


@dataclass(frozen=True)
class TrainingCase:
    """One case as the samplers see it.

    Attributes:
        name: The case.
        image: float32 (slices, rows, columns, modalities), zero outside the brain; or what `slabs_of` returns.
        brain: bool (slices, rows, columns).
        labels: Canonical labels, uint8 (slices, rows, columns).
        maps: CNN 1's probabilities (slices, rows + 32, columns + 32, classes) with a margin of 16 pixels on each side, or
            None. In a coarse cascade (slabs, rows, columns, classes), for cells.
        mirrors: Whether reversing the columns exchanges left and right; if not, windows are never flipped.
        patient: The case's patient; "" if each case is a patient of its own.
        group: Release and grade, over which inner folds spread the patients evenly.
        spacing: Voxel spacing (slice, row, column), mm.
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
        """A hash of voxels, brain and labels; reads all of them once."""
        digest = hashlib.sha256(repr(self.spacing).encode())
        for array in (self.image, self.brain, self.labels):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @functools.cached_property
    def on_coarse_grid(self) -> "TrainingCase":
        """The case as the coarse cascade's CNN 1 sees it: slabs as image, and the label at the centre of each cell."""
        cell = Cell.of(self.spacing)
        image = slabs_of(coarse_cells(self.image, brain=self.brain, cell=cell))
        brain, labels = (block_centres(np.asarray(part), steps=cell) for part in (self.brain, self.labels))
        return replace(self, image=image, brain=brain, labels=labels)


@dataclass(frozen=True)
class TrainingData:
    """The data of a training.

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
    """The input of one training step. Patches are tiles of one pixel.

    Attributes:
        inputs: [image windows] or [image windows, CNN 1 windows], float32 (windows, rows, columns, channels).
        targets: Class numbers (windows, rows, columns), uint8.
        weights: Weight of every pixel in the loss (windows, rows, columns), float32.
    """

    inputs: list[np.ndarray]
    targets: np.ndarray
    weights: np.ndarray

    @property
    def given(self) -> Any:
        """The inputs in Keras's form: a list only if there are several."""
        return self.inputs if len(self.inputs) > 1 else self.inputs[0]


class Sampler(Protocol):
    """A source of batches, safe to call from several threads.

    Batch `step` depends on the step alone, so training can resume anywhere.
    """

    def batch(self, step: int) -> Batch:
        """The batch for a step."""

    def label_masses(self) -> np.ndarray:
        """Each class's share of the total weight in the loss, float64 (classes), each at least 1e-6."""


def prefetch(sampler: Sampler, *, first: int, last: int, threads: int = 1) -> Iterator[tuple[int, Batch]]:
    """Yields (step, batch) for first <= step < last. Each thread prepares three batches ahead while the network computes."""
    steps, ahead = range(first, last), 3 * threads
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(sampler.batch, step) for step in steps[:ahead]]
        for position, step in enumerate(steps):
            batch = waiting.pop(0).result()
            if position + ahead < len(steps):
                waiting.append(pool.submit(sampler.batch, steps[position + ahead]))
            yield step, batch
