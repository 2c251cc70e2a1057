"""Opens files that others made: of what kind and how large a file is, is known before anything of it is read."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from brats_cascade.errors import UserError, is_trouble

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class ImageError(UserError):
    """A file that cannot be read or is no volume: names the file, what was expected, what was found, what to do."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")


@contextmanager
def open_file(path: Path, *, most: int) -> Iterator[tuple[BinaryIO, int]]:
    """A file of at most so many bytes to read, and its size; opening it waits for nobody.

    Raises:
        ImageError: There is no such file, it is larger, or it is a pipe, a device or the like.
        OSError: The machine lacks something, such as open files; that is no fault of the file.
    """
    try:
        _check_kind(path, path.stat().st_mode)
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            _check_kind(path, status.st_mode)  # another one may have taken its place
            if status.st_size > most:
                size = f"{status.st_size / 1e6:.0f} MB, expected at most {most / 1e6:.0f} MB"
                raise ImageError(path, f"has {size}; copy or export it again")
            yield file, status.st_size
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        if is_trouble(error, reading=True):
            raise
        reason = getattr(error, "strerror", None) or error
        if path.is_symlink():
            what = f"a link to {path.readlink()}: {reason}"
            raise ImageError(path, f"cannot be read ({what}); repair the link, or remove it") from None
        raise ImageError(path, f"cannot be read ({reason}); check that it exists and its permissions") from None


def read_file(path: Path, *, most: int) -> bytes:
    """The whole content of what `open_file` opens."""
    with open_file(path, most=most) as (file, size):
        return file.read(size)


def _check_kind(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "of a kind that cannot be read")
        raise ImageError(path, f"is {kind}, expected a file; put the file there, or remove it")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
