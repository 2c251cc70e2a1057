"""SIGTERM, as a scheduler or `kill` sends it, ends a run as Ctrl-C does."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def heeding_sigterm() -> Iterator[None]:
    """Lets SIGTERM end the process as Ctrl-C does, through the code that closes what is open; exit status 143."""
    heeded = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if not heeded:
        yield
        return

    def end(number: int, _: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end is under way
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
