"""Ends a process in which a background thread still runs, when its result is no longer needed.

Python ends such a thread when it next returns from C++ code, which aborts the whole process (up to Python 3.13), so a stage
that has finished its work would end with SIGABRT.
"""

import contextlib
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator

_left: list[threading.Thread] = []


def leave_behind(thread: threading.Thread) -> None:
    """Notes that nobody waits for a daemon thread."""
    _left.append(thread)


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """After the block, ends the process at once with its regular exit status if such a thread is still running."""
    status: object = 0
    try:
        yield
    except SystemExit as end:
        status = end.code
        raise
    except BaseException:
        status = 1
        if _is_left():
            traceback.print_exc()
        raise
    finally:
        if _is_left():
            _leave(status)


def _is_left() -> bool:
    return any(thread.is_alive() for thread in _left)


def _leave(status: object) -> None:
    if not isinstance(status, int | None):  # sys.exit may also get a message
        print(status, file=sys.stderr)
        status = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)
