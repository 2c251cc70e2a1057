"""The one exception a user's mistake ends in, a single line without traceback; and text that is safe to print."""

import logging
import sys


class UserError(Exception):
    """A mistake the user can mend: says what was expected, what was received and what to do, on one line.

    `pipelines/` and the command line print the message alone and exit with 1; everything else keeps its traceback.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(str(message).split())))


def one_line(error: Exception) -> str:
    """What another library said, shortened."""
    return printable(" ".join(str(error).split())[:200])


def printable(text: str) -> str:
    """The text with everything that is not printable as an escape: control characters, and bytes that are no UTF-8."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))


def start_log(*, level: str, form: str) -> None:
    """Sends the log to stderr, without anything that a terminal would obey."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(form))
    logging.basicConfig(level=level.upper(), handlers=[handler])
