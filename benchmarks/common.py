"""What the benchmarks share: the machine's own rate, operation counts, timing, and the result file."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade import provenance
from brats_cascade.backend import start_backend

RESULTS = Path("docs/results/speed")


def best(work: Callable[[], object], *, repeats: int = 3) -> float:
    """Seconds of the fastest of some calls, after one that does not count (tracing, caches)."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def matrix_rate(dtype: str = "float32", *, side: int = 4096) -> float:
    """R: operations per second of a matrix product in this process, on the cores that it has."""
    start_backend()
    from keras import ops

    left = ops.cast(np.random.default_rng(0).normal(size=(side, side)), dtype)
    seconds = best(lambda: np.asarray(ops.cast(ops.matmul(left, left)[:1, :1], "float32")), repeats=5)
    return 2 * side**3 / seconds


def two_path_trainer(style: Any, *, xla: bool = False) -> Any:
    """A TwoPathCNN up to its scores, compiled with Adam as training compiles it."""
    import keras

    from brats_cascade.models.cascade import score_model
    from brats_cascade.models.two_path import build_two_path
    from brats_cascade.training.optimizers import RateShareAdam

    trainer = score_model(build_two_path(style=style))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(optimizer=RateShareAdam(1e-4), loss=loss, jit_compile=xla)
    return trainer


def random_tiles(*, batch: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Image windows and class numbers for one training step with side x side labelled pixels a window."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(batch, side + 32, side + 32, 4)).astype(np.float32)
    return image, rng.integers(0, 5, (batch, side, side, 1))


def two_path_operations(*, rows: int, columns: int, channels: int = 4, classes: int = 5) -> float:
    """Multiplications and additions that a full-width TwoPathCNN needs for rows x columns output pixels.

    Counted layer by layer on the pixels that each valid convolution must give, K = 2; the output layer as its one 21x21
    convolution.
    """

    def layer(*, halo: int, size: int, inputs: int, outputs: int) -> float:
        return 2.0 * (rows + halo) * (columns + halo) * size * size * inputs * outputs

    return (
        layer(halo=26, size=7, inputs=channels, outputs=128)
        + layer(halo=21, size=3, inputs=64, outputs=128)
        + layer(halo=20, size=13, inputs=channels, outputs=320)
        + layer(halo=0, size=21, inputs=224, outputs=classes)
    )


def input_cascade_operations(*, rows: int, columns: int, classes: int = 5) -> float:
    """The same for InputCascadeCNN: CNN 1 on 16 pixels more on every side, CNN 2 with its probabilities as channels."""
    first = two_path_operations(rows=rows + 32, columns=columns + 32, classes=classes)
    return first + two_path_operations(rows=rows, columns=columns, channels=4 + classes, classes=classes)


def report(name: str, *, rows: list[dict[str, Any]]) -> None:
    """Prints a table and writes docs/results/speed/NAME.json with the machine and the commit."""
    import pandas as pd

    print(pd.DataFrame(rows).to_string(index=False), flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    record = {
        "benchmark": name,
        "command": f"python -m benchmarks.{name}",
        "machine": provenance.machine(),
        "commit": provenance.git_commit(Path.cwd()),
        "python": sys.version.split()[0],
        "rows": rows,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
