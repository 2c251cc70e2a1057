"""What the processes that tests start find in their environment."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"
# Coverage in a process of its own costs a third of its time, and all its lines are lost where it is killed.
MEASURED = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}


def unmeasured(**changes: str) -> dict[str, str]:
    """The variables of this process without coverage: of what is killed, or runs lines that other tests run as well."""
    return {**{name: value for name, value in os.environ.items() if name not in MEASURED}, **changes}


@contextlib.contextmanager
def unmeasured_here() -> Iterator[None]:
    """Stops the coverage of this process for a while: it costs a quarter of a slow test's time.

    Slow tests count by the processes that they start with MEASURED, for example the whole pipeline of test_pipeline.py.
    """
    running = None
    if MEASURED:
        from coverage import Coverage

        running = Coverage.current()
    if running is None:
        yield
        return
    running.stop()
    try:
        yield
    finally:
        running.start()
