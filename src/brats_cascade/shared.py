"""Files and folders that several processes write to: what one of them uses is not deleted or half seen by another."""

import contextlib
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
_DRAFT = re.compile(r"\.(\d+)\.([0-9a-f]{8})_")  # number of a process, its host, the file's name
_cleared: set[Path] = set()


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A draft to write, which takes the file's place if the block ends well: a reader sees the old file or the new one.

    The block may make a folder of it where none has been before.
    """
    draft = draft_for(path)
    with naming(path, draft=draft):
        try:
            yield draft
            draft.replace(path)
        finally:
            _delete(draft)


def draft_for(path: Path) -> Path:
    """Where to write what is to become this file or folder; what killed processes have left there goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear(path.parent)
    # With its ending, by which some writers choose the format.
    return path.with_name(f".{os.getpid()}.{_HOST}_{path.name}")


def open_folder(out: Path) -> None:
    """Makes a folder and tries whether files can be written there, before hours of work; an OSError names the folder."""
    probe = draft_for(out / "probe")
    with naming(out, draft=probe):
        probe.touch()
        probe.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a file of text whole or not at all, also where the power is cut; what keeps it from that names the file."""
    with written_whole(path) as draft, draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, content: Any) -> None:
    """As `write_text`: indented JSON in which non-ASCII text stays readable, with the version of its form where it has one."""
    from brats_cascade.shapes import versioned  # pydantic takes its time

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
    """One process at a time is in the block: it holds a lock on the file, which closing it or a kill gives back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle


class TakenError(Exception):
    """Another process holds what was to be claimed; its number is the message, "" where it could not be read."""


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """This process alone is in the block; it does not wait. The lock on the file ends with the process, a kill included.

    Raises:
        TakenError: Another process is in such a block.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as handle:  # what a full disk keeps in a buffer would fail again at the end
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise TakenError(handle.read(20).decode(errors="replace").strip()) from None
        except OSError:  # a file system without locks
            pass
        with contextlib.suppress(OSError):  # the number is for the message alone
            handle.truncate(0)
            handle.write(str(os.getpid()).encode())
        yield


@contextlib.contextmanager
def in_use(entry: Path, *, limit: int) -> Iterator[None]:
    """Keeps one entry of a shared folder until the block ends, and deletes others where all together exceed a size in bytes.

    The entry is a file or a folder that may not be there yet. What was used longest ago is deleted first; what is in use stays,
    whatever its size. The lock ends with the process, a kill included.
    """
    with contextlib.ExitStack() as stack:
        locked = False  # as it stays where the file system has no locks: nothing is deleted there
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
    """Deletes what was used longest ago until the rest fits, but neither the entry itself nor what is in use."""
    with contextlib.suppress(OSError), _turn(entry.parent):
        if entry.exists():
            os.utime(entry)
        entries = [path for path in entry.parent.iterdir() if path.name[0] != "."]  # a dot: a file being written
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
    """One process at a time takes entries and deletes others."""
    return turn(folder / LOCKS / ".turn")


def _opened(entry: Path) -> IO[bytes]:
    return (entry.parent / LOCKS / entry.name).open("a+b")


def _locked(lock: IO[bytes], *, exclusive: bool) -> bool:
    """Takes a lock without waiting for it, and says whether it could."""
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
    """Bytes of a file or of all files below a folder; others may be writing to it meanwhile."""
    total = 0
    for part in [path, *path.rglob("*")]:
        with contextlib.suppress(OSError):
            total += part.stat().st_size if part.is_file() else 0
    return total
