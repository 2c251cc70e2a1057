"""A note of what a stage cost, for the report's table: .work/cost/, not in git and not in DVC."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from brats_cascade.provenance import peak_memory_mb
from brats_cascade.shared import write_json

_arithmetic = 0.0  # seconds of this process in training loops and in networks


@contextlib.contextmanager
def computing() -> Iterator[None]:
    """Counts the time of what runs inside as arithmetic: it is a network that learns or segments."""
    started = time.perf_counter()
    try:
        yield
    finally:
        count_arithmetic(time.perf_counter() - started)


def count_arithmetic(seconds: float) -> None:
    """Adds seconds that somebody else measured."""
    global _arithmetic
    _arithmetic += seconds


@contextlib.contextmanager
def noted(folder: Path, *, stage: str, arguments: Sequence[str]) -> Iterator[None]:
    """Writes seconds, those in arithmetic, and peak memory of what runs inside, if it ends well.

    A note that cannot be written is none.
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
