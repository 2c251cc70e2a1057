"""Whether bfloat16 is worth its while: a processor without instructions for it emulates it, many times slower in training.

Other programs on the same machine must not decide this: CPU time is compared, not time on the clock; both precisions run in
turn; and where the repeats contradict one another nothing is claimed.

A GPU has such instructions, and computes the small layers that are timed here in less than their start takes: there nothing
is measured.
"""

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from functools import cache

from brats_cascade.provenance import accelerators

log = logging.getLogger(__name__)
NOISE = 0.1  # of a measurement that must take no time
REPEATS = 7
SPREAD = 1.5  # largest ratio of two repeats that agree


def warn_if_slow(precision: str, *, training: bool) -> None:
    """Logs a warning if this processor computes more slowly in `precision` than in float32."""
    if precision != "bfloat16" or accelerators():
        return
    times = bfloat16_times(training=training)
    if times is not None and times > 1 + NOISE:
        log.warning("%s; use float32", in_words(times, training=training))


def in_words(times: float | None, *, training: bool) -> str:
    """What bfloat16 costs or saves, by `bfloat16_times`."""
    work = "training" if training else "prediction"
    if times is None:
        return f"cannot tell whether {work} is faster in bfloat16: repeats disagree; try again when the machine is idle"
    verdict = f"takes {times:.1f} times as long" if times > 1 else f"is {1 / times:.1f} times as fast"
    if abs(times - 1) < NOISE:
        verdict = "is about as fast"
    return f"{work} in bfloat16 {verdict} as in float32 on this device"


def agreed_ratio(seconds: Sequence[float], *, reference: Sequence[float]) -> float | None:
    """How many times as long as the reference something takes: the median ratio of at least three repeats side by side.

    None if, apart from the lowest and the highest, the ratios differ by more than SPREAD, or some say slower and some faster.
    """
    kept = sorted(mine / theirs for mine, theirs in zip(seconds, reference, strict=True))[1:-1]
    low, high = kept[0], kept[-1]
    if high > SPREAD * low or (low < 1 - NOISE and high > 1 + NOISE):
        return None
    return statistics.median(kept)


@cache
def bfloat16_times(*, training: bool) -> float | None:
    """How many times as long as in float32 layers as in the local pathway take; measured once a process, in a second or two.

    None where repeats disagree. Forward and backward in training, otherwise forward alone.
    """
    steps = [_step(policy, training=training) for policy in ("mixed_bfloat16", "float32")]
    for step in steps:
        step()  # compiles
    taken = [[_cpu_seconds(step) for step in steps] for _ in range(REPEATS)]
    return agreed_ratio([first for first, _ in taken], reference=[second for _, second in taken])


def _cpu_seconds(step: Callable[[], object]) -> float:
    """CPU time of all threads of this process, so that waiting for a core that others use does not count."""
    start = time.process_time()
    step()
    return time.process_time() - start


def _step(policy: str, *, training: bool) -> Callable[[], object]:
    """One step of two layers, so that gradients by the input are taken too."""
    import keras
    import numpy as np

    # Names of their own: Keras numbers unnamed layers through the whole process.
    layers = [keras.layers.Conv2D(64, 7, dtype=policy, name=f"probe_{number}") for number in (1, 2)]
    network = keras.Sequential([keras.layers.Input((24, 24, 64), name="probe"), *layers], name="probe_network")
    network.compile(optimizer="sgd", loss="mse")
    maps, wanted = np.ones((4, 24, 24, 64), np.float32), np.ones((4, 12, 12, 64), np.float32)
    if training:
        return lambda: network.train_on_batch(maps, wanted)
    return lambda: network.predict_on_batch(maps)
