"""Limits of the operating system, for a while."""

import contextlib
import os
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def limited(kind: int, number: int) -> Iterator[None]:
    """The system refuses this process, and those that it starts, anything beyond the number; then all is as before."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (number, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def small_files(size: int) -> contextlib.AbstractContextManager[None]:
    """No file grows beyond so many bytes, as on a disk that is full."""
    return limited(resource.RLIMIT_FSIZE, size)


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """No further file can be opened."""
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    with limited(resource.RLIMIT_NOFILE, free):
        yield
