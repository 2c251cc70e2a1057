"""Files and folders that several processes use: no process deletes, or reads half-written, what another one uses."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psutil

from brats_cascade.errors import naming

LOCKS = ".locks"
_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_DRAFT = re.compile(r"\.(\d+)\.([0-9a-f]{8})_")  # process id, host, file name
_cleared: set[Path] = set()


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A draft that replaces the file if the block succeeds, so that readers see either the old or the new file.

    The block may create a folder instead, if none exists.
    """
    draft = draft_for(path)
    with naming(path, draft=draft):
        try:
            yield draft
            draft.replace(path)
        finally:
            _delete(draft)


def draft_for(path: Path) -> Path:
    """A path for writing what will become this file or folder; drafts of killed processes are deleted."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError:  # below /proc, for example
        raise NotADirectoryError(errno.ENOTDIR, "No folder can be made here", os.fspath(path.parent)) from None
    _clear(path.parent)
    # Keeps the suffix, from which some writers infer the format.
    return path.with_name(f".{os.getpid()}.{_HOST}_{path.name}")


def open_folder(out: Path) -> None:
    """Makes a folder and tries whether files can be written there, before hours of work; an OSError names the folder."""
    probe = draft_for(out / "probe")
    with naming(out, draft=probe):
        probe.touch()
        probe.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, also in a power cut; errors name the file."""
    with written_whole(path) as draft, draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, content: Any) -> None:
    """As `write_text`: indented JSON with readable non-ASCII text and, if the file has one, its format version."""
    from brats_cascade.shapes import versioned  # pydantic imports slowly

    write_text(path, json.dumps(versioned(path, content), indent=2, ensure_ascii=False) + "\n")


def _clear(folder: Path) -> None:
    """Deletes the drafts that killed processes of this host have left in a folder, once per process."""
    if folder in _cleared:
        return
    _cleared.add(folder)
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            draft = _DRAFT.match(path.name)
            if draft and draft[2] == _HOST and not psutil.pid_exists(int(draft[1])):
                _delete(path)


@contextlib.contextmanager
def turn(path: Path) -> Iterator[IO[bytes]]:
    """A block that one process at a time can enter; the lock on the file is released at its end or by a kill."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle


@contextlib.contextmanager
def folder_locked(folder: Path) -> Iterator[None]:
    """A block that one process at a time can enter for a folder, which is made; it needs no file, unlike `turn`."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class TakenError(Exception):
    """Another process holds the claim; its process id is the message, or "" if it could not be read."""


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Claims a block for this process without waiting. The lock on the file ends with the process, even if it is killed.

    Raises:
        TakenError: Another process is in such a block.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as handle:  # unbuffered: a full disk would fail again on close
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise TakenError(handle.read(20).decode(errors="replace").strip()) from None
        except OSError:  # the file system has no locks
            pass
        with contextlib.suppress(OSError):  # the number is only used in the message
            handle.truncate(0)
            handle.write(str(os.getpid()).encode())
        yield


@contextlib.contextmanager
def in_use(entry: Path, *, limit: int) -> Iterator[None]:
    """Keeps one entry of a shared folder during the block, and deletes others if the total exceeds a size in bytes.

    The entry is a file or folder that may not exist yet. The least recently used entries are deleted first; entries in use
    are never deleted. The lock ends with the process, even if it is killed.
    """
    with contextlib.ExitStack() as stack:
        locked = False  # remains so on a file system without locks, where nothing is deleted
        with contextlib.suppress(OSError), _turn(entry.parent):
            locked = _locked(stack.enter_context(_opened(entry)), exclusive=False)
        if locked:
            _make_room(entry, limit=limit)
        try:
            yield
        finally:
            if locked:
                _make_room(entry, limit=limit)


def _make_room(entry: Path, *, limit: int) -> None:
    """Deletes the least recently used entries until the rest fits, except this entry and those in use."""
    with contextlib.suppress(OSError), _turn(entry.parent):
        if entry.exists():
            os.utime(entry)
        entries = [path for path in entry.parent.iterdir() if path.name[0] != "."]  # a dot: being written
        used = {path: path.lstat().st_mtime for path in entries}
        sizes = {path: _size(path) for path in entries}
        total = sum(sizes.values())
        for path in sorted(set(entries) - {entry}, key=used.__getitem__):
            if total <= limit:
                return
            with _opened(path) as lock:
                if _locked(lock, exclusive=True):
                    _delete(path)
                    Path(lock.name).unlink(missing_ok=True)
                    total -= sizes[path]


def _turn(folder: Path) -> contextlib.AbstractContextManager[IO[bytes]]:
    """A block in which one process at a time takes and deletes entries."""
    return turn(folder / LOCKS / ".turn")


def _opened(entry: Path) -> IO[bytes]:
    return (entry.parent / LOCKS / entry.name).open("a+b")


def _locked(lock: IO[bytes], *, exclusive: bool) -> bool:
    """Tries to take a lock without waiting; returns whether it succeeded."""
    try:
        fcntl.flock(lock, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    """Size of a file, or of all files in a folder, bytes; others may be writing to it."""
    total = 0
    for part in [path, *path.rglob("*")]:
        with contextlib.suppress(OSError):
            total += part.stat().st_size if part.is_file() else 0
    return total
