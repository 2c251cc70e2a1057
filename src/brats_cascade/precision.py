"""Measures whether bfloat16 is faster than float32. A CPU without native bfloat16 emulates it, many times slower in training.

To be independent of other programs, CPU time is compared, not wall time; both precisions run alternately; and if repeats
contradict each other, no result is given.

GPUs have native bfloat16 and compute the small test layers faster than they can be started, so nothing is measured there.
"""

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from functools import cache

from brats_cascade.provenance import accelerators

log = logging.getLogger(__name__)
NOISE = 0.1  # tolerance of a short measurement
REPEATS = 7
SPREAD = 1.5  # largest ratio of two repeats that agree


def warn_if_slow(precision: str, *, training: bool) -> None:
    """Logs a warning if this CPU computes more slowly in `precision` than in float32."""
    if precision != "bfloat16" or accelerators():
        return
    times = bfloat16_times(training=training)
    if times is not None and times > 1 + NOISE:
        log.warning("%s; use float32", in_words(times, training=training))


def in_words(times: float | None, *, training: bool) -> str:
    """The result of `bfloat16_times` as a sentence."""
    work = "training" if training else "prediction"
    if times is None:
        return f"cannot tell whether {work} is faster in bfloat16: repeats disagree; try again when the machine is idle"
    verdict = f"takes {times:.1f} times as long" if times > 1 else f"is {1 / times:.1f} times as fast"
    if abs(times - 1) < NOISE:
        verdict = "is about as fast"
    return f"{work} in bfloat16 {verdict} as in float32 on this device"


def agreed_ratio(seconds: Sequence[float], *, reference: Sequence[float]) -> float | None:
    """The median ratio of at least three pairs of measurements to their references.

    None if the ratios, except the lowest and the highest, differ by more than SPREAD, or some are above and some below 1.
    """
    kept = sorted(mine / theirs for mine, theirs in zip(seconds, reference, strict=True))[1:-1]
    low, high = kept[0], kept[-1]
    if high > SPREAD * low or (low < 1 - NOISE and high > 1 + NOISE):
        return None
    return statistics.median(kept)


@cache
def bfloat16_times(*, training: bool) -> float | None:
    """The time of layers like those of the local pathway in bfloat16 relative to float32; measured once, in 1 to 2 s.

    None if repeats disagree. Training measures forward and backward pass, otherwise only the forward pass.
    """
    steps = [_step(policy, training=training) for policy in ("mixed_bfloat16", "float32")]
    for step in steps:
        step()  # compiles
    taken = [[_cpu_seconds(step) for step in steps] for _ in range(REPEATS)]
    return agreed_ratio([first for first, _ in taken], reference=[second for _, second in taken])


def _cpu_seconds(step: Callable[[], object]) -> float:
    """CPU time over all threads of this process, which excludes waiting for cores used by others."""
    start = time.process_time()
    step()
    return time.process_time() - start


def _step(policy: str, *, training: bool) -> Callable[[], object]:
    """One step of two layers; two, so that gradients with respect to the input are computed."""
    import keras
    import numpy as np

    # Layers are named, because Keras numbers unnamed layers across the whole process.
    layers = [keras.layers.Conv2D(64, 7, dtype=policy, name=f"probe_{number}") for number in (1, 2)]
    network = keras.Sequential([keras.layers.Input((24, 24, 64), name="probe"), *layers], name="probe_network")
    network.compile(optimizer="sgd", loss="mse")
    maps, wanted = np.ones((4, 24, 24, 64), np.float32), np.ones((4, 12, 12, 64), np.float32)
    if training:
        return lambda: network.train_on_batch(maps, wanted)
    return lambda: network.predict_on_batch(maps)
