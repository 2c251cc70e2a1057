"""What the training loop is given: cases, batches, samplers, and batches made ahead in a thread."""

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from brats_cascade.data.windows import cut_window
from brats_cascade.models.cascade import CNN2, Geometry
from brats_cascade.training.augment import Variation, vary_intensities


@dataclass(frozen=True)
class TrainingCase:
    """One case as the samplers see it.

    Attributes:
        name: The case.
        image: float32 (slices, rows, columns, modalities), zero outside the brain.
        brain: bool (slices, rows, columns).
        labels: Canonical labels, uint8 (slices, rows, columns).
        maps: CNN 1's probabilities (slices, rows + 32, columns + 32, classes), a margin of 16 pixels a side, or None.
        mirrors: Whether a flip of the columns exchanges left and right; where it does not, windows are never flipped.
        patient: Whose case it is; "" where each case is a patient of its own.
        group: Release and grade, over which inner folds spread the patients evenly.
    """

    name: str
    image: np.ndarray
    brain: np.ndarray
    labels: np.ndarray
    maps: np.ndarray | None = None
    mirrors: bool = True
    patient: str = ""
    group: str = ""

    @functools.cached_property
    def digest(self) -> str:
        """A hash of the voxels, brain and labels; reads them all, once."""
        digest = hashlib.sha256()
        for array in (self.image, self.brain, self.labels):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


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
        weights: Weight of every pixel in the loss (windows, rows, columns), float32.
    """

    inputs: list[np.ndarray]
    targets: np.ndarray
    weights: np.ndarray


class Sampler(Protocol):
    """Where batches come from; batch `step` is a function of the step alone, so training can resume anywhere."""

    def batch(self, step: int) -> Batch:
        """The batch of one step."""

    def label_masses(self) -> np.ndarray:
        """Share of the loss's weight on each class, float64 (classes), each at least 1e-6."""


def cut_inputs(
    case: TrainingCase,
    *,
    layer: int,
    top: int,
    left: int,
    size: int,
    geometry: Geometry,
    variation: Variation,
) -> list[np.ndarray]:
    """Cuts what a network needs to give a window of outputs.

    A flip acts as if the whole slice had been flipped before cutting: where a field reaches one pixel further to one
    side (LocalCascadeCNN), it still does so after the flip.

    Args:
        case: The case.
        layer: Slice.
        top: First row of the window.
        left: First column of the window.
        size: Side of the window, pixels.
        geometry: What the network needs around a pixel, of CNN 1's maps too.
        variation: Changes of intensity, and whether to flip.

    Returns:
        [image] or [image, CNN 1's maps], float32 (rows, columns, channels).
    """
    before, after = geometry.halo
    wide = size + before + after
    start = left - (after if variation.flipped else before)
    image = cut_window(case.image[layer], top=top - before, left=start, rows=wide, columns=wide)
    parts = [vary_intensities(image, variation=variation)]
    if case.maps is not None:
        joined = geometry.joined
        side = size - 1 + joined
        # The stored maps begin 16 pixels before the slice.
        down = CNN2.before - (joined - 1) // 2
        across = CNN2.before - joined // 2 if variation.flipped else down
        maps = cut_window(case.maps[layer], top=top + down, left=left + across, rows=side, columns=side, mode="edge")
        parts.append(maps.astype(np.float32))
    return [part[:, ::-1] for part in parts] if variation.flipped else parts


def stack_batch(windows: Sequence[tuple[np.ndarray, ...]]) -> Batch:
    """Puts windows, each (image, [maps], targets, weights), together into one batch."""
    columns = list(zip(*windows, strict=True))
    return Batch([np.stack(part) for part in columns[:-2]], np.stack(columns[-2]), np.stack(columns[-1]))


class Prefetch:
    """Makes the next batches in a thread while the network computes; iterate over it for (step, batch)."""

    def __init__(self, sampler: Sampler, *, first: int, last: int, ahead: int = 3) -> None:
        self._sampler, self._first, self._last, self._ahead = sampler, first, last, ahead

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        """Yields (step, batch) for first <= step < last."""
        with ThreadPoolExecutor(1) as thread:
            steps = range(self._first, self._last)
            waiting = [thread.submit(self._sampler.batch, step) for step in steps[: self._ahead]]
            for position, step in enumerate(steps):
                batch = waiting.pop(0).result()
                if position + self._ahead < len(steps):
                    waiting.append(thread.submit(self._sampler.batch, steps[position + self._ahead]))
                yield step, batch
