"""Notes the time and memory of a stage for the report, in .work/cost/, which is in neither git nor DVC."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from brats_cascade.provenance import peak_memory_mb
from brats_cascade.shared import write_json

_arithmetic = 0.0  # seconds that this process spent in training loops and networks


@contextlib.contextmanager
def computing() -> Iterator[None]:
    """Counts the time inside the block as arithmetic: a network trains or segments."""
    started = time.perf_counter()
    try:
        yield
    finally:
        count_arithmetic(time.perf_counter() - started)


def count_arithmetic(seconds: float) -> None:
    """Adds seconds that were measured elsewhere."""
    global _arithmetic
    _arithmetic += seconds


@contextlib.contextmanager
def noted(folder: Path, *, stage: str, arguments: Sequence[str]) -> Iterator[None]:
    """Records seconds, seconds in arithmetic, and peak memory of the block if it succeeds.

    A note that cannot be written is skipped.
    """
    started = time.perf_counter()
    yield
    note = {
        "stage": stage,
        "argument": " ".join(arguments),
        "seconds": time.perf_counter() - started,
        "arithmetic_seconds": _arithmetic,
        "peak_memory_mb": peak_memory_mb(),
        "when": datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
    }
    with contextlib.suppress(OSError):
        write_json(folder / f"{'-'.join([stage, *arguments])}.json", note)
