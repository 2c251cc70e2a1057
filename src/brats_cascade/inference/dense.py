"""Dense inference: a label distribution for every pixel of a volume, one pass per batch of slices.

Every convolution of these networks is valid, so a slice padded by the network's halo gives one output per pixel, the same
as cutting that pixel's own patch (paper section 4; it reports 40 to 45 times the speed of patches).
"""

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from brats_cascade.data.windows import cut_window
from brats_cascade.models.cascade import Geometry

# Window sides are rounded up to these where every new shape is compiled: JAX, on a CPU and on others. There pixels cost
# little and a compilation seconds. TensorFlow traces a network once for all.
STEP, ACCELERATOR_STEP = 16, 64

_traced: "weakref.WeakSet[keras.Model]" = weakref.WeakSet()


def predict_volume(
    network: keras.Model, *, image: np.ndarray, brain: np.ndarray, geometry: Geometry, slices: int = 4
) -> np.ndarray:
    """Class probabilities for every pixel of a volume, as `predict_around` takes it; outside the brain class 0 is certain.

    Returns:
        float32 (slices, rows, columns, classes).
    """
    probabilities = predict_around(network, image=image, brain=brain, geometry=geometry, margin=0, slices=slices)
    probabilities[~brain] = np.eye(probabilities.shape[-1], dtype=np.float32)[0]
    return probabilities


def predict_around(
    network: keras.Model, *, image: np.ndarray, brain: np.ndarray, geometry: Geometry, margin: int, slices: int = 4
) -> np.ndarray:
    """Class probabilities of the brain's box in every slice and of a margin around it: what a cascade's CNN 2 is given.

    Args:
        network: From (batch, rows, columns, modalities) to probabilities.
        image: float32 (slices, rows, columns, modalities), zero outside the brain.
        brain: bool (slices, rows, columns).
        geometry: The network's.
        margin: Pixels around the slice that get outputs too.
        slices: Computed at once; bounds the memory.

    Returns:
        float32 (slices, rows + 2 * margin, columns + 2 * margin, classes), exact within `margin` pixels of the brain; where
        nothing was computed class 0 is certain.
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
    """What the sides of windows are rounded up to in this process, pixels."""
    return window_step(keras.backend.backend(), devices=keras.distribution.list_devices())


def window_step(backend: str, *, devices: Sequence[str]) -> int:
    """The same for a backend that computes on these devices, as Keras names them: "cpu:0", "gpu:0"."""
    if backend == "tensorflow":
        return 1
    return STEP if all(device.lower().startswith("cpu") for device in devices) else ACCELERATOR_STEP


def free_of_sizes(network: keras.Model, *, windows: Callable[[int], Any]) -> None:
    """Has TensorFlow trace a network for windows of every size before the first one is computed, once per network.

    TensorFlow traces a network for the size that it meets first and, when it meets another, for all sizes; the two graphs
    round differently. What a case gives would depend on whether it is the first in its process. `windows` gives inputs of the
    sizes 1 and 2, which differ in every side.
    """
    if keras.backend.backend() == "tensorflow" and network not in _traced:
        for size in (1, 2):
            network.predict_on_batch(windows(size))
        _traced.add(network)


def brain_windows(
    brain: np.ndarray, *, slices: int, margin: int = 0, step: int = STEP, align: tuple[int, int] = (1, 1)
) -> Iterator[tuple[int, int, int, int, int, int]]:
    """The windows that cover the brain: batches of so many consecutive slices, each cut to the brain's box in them.

    The margin, pixels, is added to the box on each side; sides are rounded up to a multiple of `step`. Windows begin at
    multiples of `align` (rows, columns), and their sides are multiples too.

    Yields:
        (first slice, last slice + 1, top, left, rows, columns) with sides rounded up, so a window may reach over
        the edge; batches without brain are left out.
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
