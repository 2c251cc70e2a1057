"""Dense inference: class probabilities for every pixel of a volume, with one pass per batch of slices.

All convolutions of these networks use valid padding, so a slice that is padded by the network's halo gives one output per
pixel, equal to that of the pixel's own patch (paper section 4, which reports 40 to 45 times the speed of patches).
"""

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from brats_cascade.data.windows import cut_window
from brats_cascade.models.cascade import Geometry

# Window sides are rounded up to multiples of these under JAX (on a CPU, on other devices), which compiles every new shape in
# seconds, while additional pixels cost little. TensorFlow traces a network once for all shapes.
STEP, ACCELERATOR_STEP = 16, 64

_traced: "weakref.WeakSet[keras.Model]" = weakref.WeakSet()


def predict_volume(
    network: keras.Model, *, image: np.ndarray, brain: np.ndarray, geometry: Geometry, slices: int = 4
) -> np.ndarray:
    """Class probabilities for every pixel of a volume, given as in `predict_around`; class 0 is certain outside the brain.

    Returns:
        float32 (slices, rows, columns, classes).
    """
    probabilities = predict_around(network, image=image, brain=brain, geometry=geometry, margin=0, slices=slices)
    probabilities[~brain] = np.eye(probabilities.shape[-1], dtype=np.float32)[0]
    return probabilities


def predict_around(
    network: keras.Model, *, image: np.ndarray, brain: np.ndarray, geometry: Geometry, margin: int, slices: int = 4
) -> np.ndarray:
    """Class probabilities of the brain's box in every slice and of a margin around it, as a cascade's CNN 2 needs them.

    Args:
        network: Maps (batch, rows, columns, modalities) to probabilities.
        image: float32 (slices, rows, columns, modalities), zero outside the brain.
        brain: bool (slices, rows, columns).
        geometry: The network's geometry.
        margin: Pixels around the slice that also get outputs.
        slices: Slices per batch, which limits the memory.

    Returns:
        float32 (slices, rows + 2 * margin, columns + 2 * margin, classes), exact within `margin` pixels of the brain; class
        0 is certain where nothing was computed.
    """
    classes = int(network.output_shape[-1])
    count, height, width = brain.shape
    found = np.zeros((count, height + 2 * margin, width + 2 * margin, classes), dtype=np.float32)
    found[..., 0] = 1
    side, channels = geometry.patch, image.shape[-1]
    free_of_sizes(network, windows=lambda n: np.zeros((n, side + n, side + 2 * n, channels), np.float32))
    for start, stop, top, left, rows, columns in brain_windows(brain, slices=slices, margin=margin, step=rounding()):
        window = np.zeros((slices, rows + side - 1, columns + side - 1, channels), np.float32)
        (_, high, wide, _), first = window.shape, (top - geometry.before, left - geometry.before)
        for place, plane in enumerate(image[start:stop]):
            window[place] = cut_window(plane, top=first[0], left=first[1], rows=high, columns=wide)
        target = found[start:stop, top + margin :, left + margin :][:, :rows, :columns]
        outputs = keras.ops.convert_to_numpy(network.predict_on_batch(window))
        target[:] = outputs[: stop - start, : target.shape[1], : target.shape[2]]
    return found


def rounding() -> int:
    """The number of pixels to whose multiples the sides of windows are rounded up in this process."""
    return window_step(keras.backend.backend(), devices=keras.distribution.list_devices())


def window_step(backend: str, *, devices: Sequence[str]) -> int:
    """Likewise, for a backend that computes on these devices, as Keras names them: "cpu:0", "gpu:0"."""
    if backend == "tensorflow":
        return 1
    return STEP if all(device.lower().startswith("cpu") for device in devices) else ACCELERATOR_STEP


def free_of_sizes(network: keras.Model, *, windows: Callable[[int], Any]) -> None:
    """Makes TensorFlow trace a network for windows of any size before the first one is computed, once per network.

    TensorFlow first traces a network for the first size, and retraces it for all sizes when it meets another. The two
    graphs round differently, so the result for a case would depend on whether it is the first in its process.
    `windows` returns inputs of the sizes 1 and 2, which differ in every side.
    """
    if keras.backend.backend() == "tensorflow" and network not in _traced:
        for size in (1, 2):
            network.predict_on_batch(windows(size))
        _traced.add(network)


def brain_windows(
    brain: np.ndarray, *, slices: int, margin: int = 0, step: int = STEP, align: tuple[int, int] = (1, 1)
) -> Iterator[tuple[int, int, int, int, int, int]]:
    """The windows that cover the brain: batches of consecutive slices, each cut to the brain's box in them.

    The margin, pixels, is added to the box on each side, and sides are rounded up to a multiple of `step`. Windows start at
    multiples of `align` (rows, columns), and their sides are multiples of it, too.

    Yields:
        (first slice, last slice + 1, top, left, rows, columns) with rounded sides, so a window may extend beyond the edge;
        batches without brain are skipped.
    """
    for start in range(0, len(brain), slices):
        stop = min(start + slices, len(brain))
        flat: np.ndarray = np.logical_or.reduce(brain[start:stop])
        down, across = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
        if len(down):
            spans = zip((down, across), align, strict=True)
            (top, rows), (left, columns) = (_span(span, margin=margin, step=step, align=unit) for span, unit in spans)
            yield start, stop, top, left, rows, columns


def _span(filled: np.ndarray, *, margin: int, step: int, align: int) -> tuple[int, int]:
    """First index and length of a window over all indices, with a margin, both rounded."""
    first = (int(filled[0]) - margin) // align * align
    step = math.lcm(step, align)
    return first, -(-(int(filled[-1]) + 1 + margin - first) // step) * step
