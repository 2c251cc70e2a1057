"""Opens input files safely: checks what kind of file it is, and its size, before it reads any content."""

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
    """A file that cannot be read, or holds no volume. The message names the file, what was expected and found, and the fix."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")


@contextmanager
def open_file(path: Path, *, most: int) -> Iterator[tuple[BinaryIO, int]]:
    """Opens a regular file of limited size for reading, without ever blocking; returns it with its size.

    Raises:
        ImageError: The file does not exist, is too large, or is not a regular file (a pipe or a device, for example).
        OSError: The machine lacks a resource, such as open files. This is not a fault of the file.
    """
    try:
        _check_kind(path, path.stat().st_mode)
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            _check_kind(path, status.st_mode)  # the file may have been replaced
            if status.st_size > most:
                size = f"{status.st_size / 1e6:.0f} MB, expected at most {most / 1e6:.0f} MB"
                raise ImageError(path, f"has {size}; copy or export it again")
            yield file, status.st_size
    except (OSError, ValueError) as error:  # ValueError: not a valid file name
        if is_trouble(error, reading=True):
            raise
        reason = getattr(error, "strerror", None) or error
        if path.is_symlink():
            what = f"a link to {path.readlink()}: {reason}"
            raise ImageError(path, f"cannot be read ({what}); repair the link, or remove it") from None
        raise ImageError(path, f"cannot be read ({reason}); check that it exists and its permissions") from None


def read_file(path: Path, *, most: int) -> bytes:
    """Reads the whole content of a file, with the checks of `open_file`."""
    with open_file(path, most=most) as (file, size):
        return file.read(size)


def _check_kind(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "of a kind that cannot be read")
        raise ImageError(path, f"is {kind}, expected a file; replace or remove it")
