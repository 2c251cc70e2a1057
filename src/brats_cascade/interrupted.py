"""Ends a program in one line if Ctrl-C is pressed during slow imports. Every program imports this module first."""

import sys
from types import TracebackType

_before = sys.excepthook


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt) or "KeyboardInterrupt" in str(
        error
    ):  # pydantic wraps it in an error of its own
        print("interrupted; run the same command again to resume", file=sys.stderr)
    else:
        _before(kind, error, trace)


sys.excepthook = _end
