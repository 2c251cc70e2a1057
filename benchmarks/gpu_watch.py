"""Records the output of nvidia-smi for one GPU every second, in a thread."""

import contextlib
import csv
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from brats_cascade.sweep.workers import visible_gpus

QUERY = "utilization.gpu,memory.used,power.draw"


class Sample(NamedTuple):
    """One second: epoch seconds, share of it in which the card computed (%), memory in use (MiB), power (W)."""

    time: float
    busy: float
    memory: float
    power: float


@contextlib.contextmanager
def watched(path: Path) -> Iterator[list[Sample]]:
    """Samples of the first visible card, also into a CSV file; none where there is no nvidia-smi."""
    samples: list[Sample] = []
    cards = visible_gpus(os.environ) if shutil.which("nvidia-smi") else []
    if not cards:
        yield samples
        return
    command = ["nvidia-smi", f"--id={cards[0]}", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits", "--loop=1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    thread = threading.Thread(target=_read, args=(process, samples), daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        process.terminate()
        process.wait()
        thread.join(timeout=5)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([Sample._fields, *samples])


def _read(process: "subprocess.Popen[str]", samples: list[Sample]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        with contextlib.suppress(ValueError):
            busy, memory, power = map(float, line.split(","))
            samples.append(Sample(time.time(), busy, memory, power))


def mean_busy(samples: Sequence[Sample], *, spans: Sequence[tuple[float, float]]) -> float | None:
    """Mean utilisation of the seconds that lie within one of some spans, %; None without samples."""
    inside = [sample.busy for sample in samples if any(start <= sample.time <= end for start, end in spans)]
    return round(sum(inside) / len(inside), 1) if inside else None
