"""Exceptions that end in a single line without a traceback, and text that is safe to print."""

import contextlib
import errno
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

# scheme://user:password@host, where the password may contain @, and ...?password=...
_PASSWORD = re.compile(
    r"(://[^\s/:@]*:)[^\s@]*(?:@[^\s@/]*)*(?=@)|([?&][^\s&=]*(?:password|secret|token)=)[^\s&'\"]*", re.I
)
_MEMORY = "close other programs, or use fewer workers"
# Error numbers for a lack of resources, whatever is read or written -> what to do.
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
# Error numbers for an unsuitable path -> what to do.
_MISPLACED = {
    errno.ENAMETOOLONG: "give a shorter one",
    errno.EISDIR: "expected a file; give another name",
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "expected a folder; give another place"),
    **dict.fromkeys((errno.EINVAL, errno.ELOOP), "give another name, or another place"),
}


class _OneLineError(Exception):
    """An error whose message is one line, whatever text it is given."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(str(message).split())))


class UserError(_OneLineError):
    """An error that the user can correct. The message says on one line what was expected, what was found and what to do.

    `pipelines/` and the command line print only the message and exit with 1; all other exceptions keep their traceback.
    """


class MachineError(_OneLineError):
    """The machine lacks space, memory, open files or permission. This is not a fault of the data, so all work ends.

    It is printed like a UserError, but handled differently: the next case would fail in the same way.
    """


def is_trouble(error: BaseException, *, reading: bool = False) -> bool:
    """Whether an exception means a lack of resources, rather than a missing or unsuitable file.

    If it was raised by `reading` a user's file, missing permission concerns only that file.
    """
    if reading and isinstance(error, PermissionError):
        return False
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _CURES)


def machine_error(error: OSError | MemoryError, *, at: str = "") -> MachineError:
    """An exception of the operating system as one line: the file (or else `at`), the problem and what to do."""
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
    """Adds this path to an OSError that names no file (as errors of writing do), or that names the draft."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, draft and os.fspath(draft)):
            raise
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), os.fspath(path)) from error


@contextlib.contextmanager
def ending_in_one_line() -> Iterator[None]:
    """Prints `error: ...` and exits with 1 for a user error or a lack of resources; other exceptions keep their traceback.

    An unsuitable path, such as a folder given as a file, is a user error. Ctrl-C ends in one line with exit status 130.
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
    """Writes a separate line, even while a progress bar is shown."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, its cause, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def one_line(error: Exception) -> str:
    """The message of another library's exception, shortened to one line."""
    return printable(" ".join(str(error).split()))[:200]


def printable(text: str) -> str:
    """The text without the passwords of addresses, and with control characters and bytes that are not UTF-8 escaped."""
    text = _PASSWORD.sub(r"\1\2***", text)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))


def start_log(*, level: str, form: str) -> None:
    """Sends the log to stderr without control sequences for the terminal; verbose libraries show only warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(form))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for name in ("alembic", "great_expectations", "h5py", "matplotlib", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
