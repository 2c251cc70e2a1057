"""Whether bfloat16 is worth its while: a processor without instructions for it emulates it, many times slower in training.

A GPU has them, and computes the small layers that are timed here in less than their start takes: there nothing is measured.
"""

import logging
import time
from functools import cache

from brats_cascade.provenance import accelerators

log = logging.getLogger(__name__)
NOISE = 0.1  # of a measurement that must take no time


def warn_if_slow(precision: str, *, training: bool) -> None:
    """Logs a warning if this processor computes more slowly in `precision` than in float32.

    Args:
        precision: "float32" or "bfloat16".
        training: Of training steps; False for predictions.
    """
    if precision != "bfloat16" or accelerators():
        return
    if (times := bfloat16_times(training=training)) > 1 + NOISE:
        log.warning("%s; take float32 here", in_words(times, training=training))


def in_words(times: float, *, training: bool) -> str:
    """What bfloat16 costs or saves.

    Args:
        times: As `bfloat16_times` measured it.
        training: Likewise.
    """
    work = "training" if training else "prediction"
    if abs(times - 1) < NOISE:
        return f"{work} in bfloat16 is about as fast as in float32 on this device"
    if times > 1:
        return f"{work} in bfloat16 takes {times:.1f} times as long as in float32 on this device"
    return f"{work} in bfloat16 is {1 / times:.1f} times as fast as in float32 on this device"


@cache
def bfloat16_times(*, training: bool) -> float:
    """How many times as long as in float32 layers as in the local pathway take; measured once a process, in a second.

    Args:
        training: Forward and backward; False for forward alone.
    """
    return _seconds("mixed_bfloat16", training=training) / _seconds("float32", training=training)


def _seconds(policy: str, *, training: bool) -> float:
    """The shortest of three runs after one to warm up; two layers, so that gradients by the input are taken too."""
    import keras
    import numpy as np

    # Names of their own: Keras numbers unnamed layers through the whole process.
    layers = [keras.layers.Conv2D(64, 7, dtype=policy, name=f"probe_{number}") for number in (1, 2)]
    network = keras.Sequential([keras.layers.Input((24, 24, 64), name="probe"), *layers], name="probe_network")
    network.compile(optimizer="sgd", loss="mse")
    maps, wanted = np.ones((1, 24, 24, 64), np.float32), np.ones((1, 12, 12, 64), np.float32)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        if training:
            network.train_on_batch(maps, wanted)
        else:
            network.predict_on_batch(maps)
        times.append(time.perf_counter() - start)
    return min(times[1:])
