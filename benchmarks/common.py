"""Shared parts of the benchmarks: the machine's peak rate, operation counts, timing, and the result file."""

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
    """Seconds of the fastest of several calls, after a discarded first call (tracing, caches)."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def matrix_rate(dtype: str = "float32", *, side: int = 4096, products: int = 1) -> float:
    """R: operations per second of a matrix product in this process; on a GPU several products are queued before waiting."""
    start_backend()
    from keras import ops

    left = ops.cast(np.random.default_rng(0).normal(size=(side, side)), dtype)

    def multiply() -> np.ndarray:
        for _ in range(products):
            last = ops.matmul(left, left)
        return np.asarray(ops.cast(last[:1, :1], "float32"))

    return 2 * side**3 * products / best(multiply, repeats=5)


def two_path_trainer(style: Any, *, xla: bool = False) -> Any:
    """A TwoPathCNN up to its scores, compiled with Adam as in training."""
    import keras

    from brats_cascade.models.cascade import score_model
    from brats_cascade.models.two_path import build_two_path
    from brats_cascade.training.optimizers import RateShareAdam

    trainer = score_model(build_two_path(style=style))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(optimizer=RateShareAdam(1e-4), loss=loss, jit_compile=xla)
    return trainer


def random_tiles(*, batch: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Image windows and class numbers for one training step with side x side labelled pixels per window."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(batch, side + 32, side + 32, 4)).astype(np.float32)
    return image, rng.integers(0, 5, (batch, side, side, 1))


def report(name: str, *, rows: list[dict[str, Any]]) -> None:
    """Prints a table and writes docs/results/speed/NAME.json with the machine and the commit."""
    import pandas as pd

    print(pd.DataFrame(rows).to_string(index=False), flush=True)
    write_record(
        name, folder=RESULTS, rows=rows, machine=provenance.machine(), commit=provenance.git_commit(Path.cwd())
    )


def write_record(name: str, *, folder: Path, rows: list[dict[str, Any]], machine: str, commit: str) -> None:
    """Writes FOLDER/NAME.json; rows with a `part` are put into one table per part."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "benchmark": name,
        "command": f"python -m benchmarks.{name}",
        "machine": machine,
        "commit": commit,
        "python": sys.version.split()[0],
        "rows": rows,
    }
    (folder / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
