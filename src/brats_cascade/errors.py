"""The exceptions that end in a single line without a traceback, and text that is safe to print."""

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_MEMORY = "close other programs, or use fewer workers"
# What the operating system refuses for want of something, whatever is read or written -> what to do.
_CURES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space"),
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "make the file system writable",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit (ulimit -n), or use fewer workers"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "give yourself permission to read and write there"),
    **dict.fromkeys(
        (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN),
        "check the disk, or the connection to it",
    ),
    errno.ENOMEM: _MEMORY,
}
# What the operating system refuses for the sake of the place that was named -> what to do.
_MISPLACED = {
    errno.ENAMETOOLONG: "give a shorter one",
    errno.EISDIR: "expected a file; give another name",
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "expected a folder; give another place"),
}


class _OneLineError(Exception):
    """Its message is one line, whatever it was given."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(str(message).split())))


class UserError(_OneLineError):
    """A mistake the user can mend: says what was expected, what was received and what to do, on one line.

    `pipelines/` and the command line print the message alone and exit with 1; everything else keeps its traceback.
    """


class MachineError(_OneLineError):
    """The machine lacks space, memory, open files or permission: no fault of the data, so whatever was under way ends.

    Printed like a UserError, but never taken for one: the next case would meet the same.
    """


def is_trouble(error: BaseException, *, reading: bool = False) -> bool:
    """Whether an exception says that the machine lacks something, and not that a file is missing or of another kind.

    Where it came from `reading` a file of the user's, permission is that file's own affair.
    """
    if reading and isinstance(error, PermissionError):
        return False
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _CURES)


def machine_error(error: OSError | MemoryError, *, at: str = "") -> MachineError:
    """An exception of the operating system as one line: which file (or else `at`), what is wrong and what to do."""
    if isinstance(error, MemoryError):
        reason, cure, where = f"not enough memory {error}".strip(), _MEMORY, at
    else:
        cure = _CURES.get(error.errno or 0, "")
        reason = os.strerror(error.errno or 0) if cure else error.strerror or str(error)
        where = str(error.filename or at)
    place = where or f"below {Path.cwd()}"
    return MachineError(f"{place}: {reason}; {cure + ', then ' if cure else ''}run the same command again")


@contextlib.contextmanager
def naming(path: Path, *, draft: Path | None = None) -> Iterator[None]:
    """An OSError that names no file, as those of writing do, or that names the draft, is given the name of this one."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, draft and os.fspath(draft)):
            raise
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), os.fspath(path)) from error


@contextlib.contextmanager
def ending_in_one_line() -> Iterator[None]:
    """Prints `error: ...` and exits with 1 for a user's mistake or trouble of the machine; all else keeps its traceback.

    A path that cannot be used, such as the name of a folder for a file, is a mistake, too.
    Ctrl-C ends in one line and exit status 130.
    """
    try:
        yield
    except KeyboardInterrupt:
        _say("interrupted; run the same command again to resume")
        sys.exit(130)
    except (UserError, MachineError) as error:
        message = str(error)
    except Exception as error:
        trouble = next(filter(is_trouble, _causes(error)), None)
        if isinstance(trouble, OSError | MemoryError):
            message = str(machine_error(trouble))
        elif isinstance(error, OSError) and error.errno in _MISPLACED and error.filename:
            message = str(UserError(f"{error.filename}: {error.strerror}; {_MISPLACED[error.errno]}"))
        else:
            raise
    else:
        return
    _say(f"error: {message}")
    sys.exit(1)


def _say(line: str) -> None:
    """Writes a line of its own, also where a bar of progress is being drawn."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


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
    """Sends the log to stderr, without anything that a terminal would obey; of talkative libraries warnings alone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(form))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for name in ("alembic", "great_expectations", "h5py", "matplotlib", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
