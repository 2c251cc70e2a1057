"""Keeps finished cases by content, so that they are not made again in later runs with other parameters or scans.

    <kept>/<case>/<key>/   one case as in the volume store; the key is a hash of its sources, settings and the code

Files are hard links shared with the volume store and, once DVC has committed the store, with DVC's cache, so they take
additional space only if neither of the two holds them. Cases are added and removed atomically, so several processes may
use one folder.
"""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from brats_cascade.data.store import ARRAYS, delete_case, list_cases, read_meta
from brats_cascade.provenance import code_digest

CACHE = ".dvc/cache/files/md5"  # in a project: DVC's cache, which names files by their MD5
# The modules that make a kept case: data.ingest, and data.prepare with all that it imports (checked by a test).
SOURCES = (
    "data/_file.py",
    "data/_image.py",
    "data/_metaimage.py",
    "data/_nifti.py",
    "data/case.py",
    "data/facts.py",
    "data/images.py",
    "data/ingest.py",
    "data/prepare.py",
    "data/preprocess.py",
    "data/standardise.py",
    "data/store.py",
    "data/truth.py",
    "labels.py",
)
DRAFT_SECONDS = 24 * 3600.0  # a draft that was not touched for this long belongs to a process that was killed


@functools.cache
def made_with() -> str:
    """A hash of the code that reads and prepares a case."""
    return code_digest(SOURCES)


def key_of(meta: Mapping[str, Any]) -> str:
    """The key of a kept case: a hash of the code and of its meta.json without the hashes of its arrays.

    The code is not in meta.json itself, so an edit that leaves a case as it was does not change the store.
    """
    rest = {name: value for name, value in meta.items() if name != ARRAYS}
    return hashlib.sha256((made_with() + json.dumps(rest, sort_keys=True)).encode()).hexdigest()[:16]


def kept_cases(kept: Path, *, name: str) -> Iterable[tuple[Path, dict[str, Any]]]:
    """The folder and meta of every kept case of a name that this code made, if its meta is intact."""
    for key in list_cases(kept / name):
        meta = read_meta(kept / name / key)
        if meta is not None and key_of(meta) == key:
            yield kept / name / key, meta


def share_with_dvc(kept: Path, *, cache: Path) -> None:
    """Replaces kept files that are also in DVC's cache by links to the cache, where links are possible."""
    for folder in _folders(kept):
        for file, md5 in (read_meta(folder) or {}).get(ARRAYS, {}).items():
            path, object_ = folder / file, cache / md5[:2] / md5[2:]
            draft = folder.parent / f".{md5}.{os.getpid()}"
            with contextlib.suppress(OSError):  # not in the cache, on another file system, or deleted meanwhile
                if not path.samefile(object_):
                    draft.hardlink_to(object_)
                    draft.replace(path)


def trim(kept: Path, *, used: Iterable[Path], gigabytes: float) -> None:
    """Deletes the least recently used kept cases until the rest fits into a number of gigabytes.

    The folders `used` stay and do not count. Files that are linked elsewhere count as 0 bytes.
    """
    stay = set(used)
    others = sorted((folder for folder in _folders(kept) if folder not in stay), key=_last_use, reverse=True)
    total = 0
    for folder in others:
        total += _own_bytes(folder)
        if total > gigabytes * 1e9:
            delete_case(folder.parent, name=folder.name)
    for draft in kept.glob("*/.*"):
        if time.time() - _last_use(draft) > DRAFT_SECONDS:
            shutil.rmtree(draft, ignore_errors=True)
            draft.unlink(missing_ok=True)
    for parent in kept.glob("*"):
        with contextlib.suppress(OSError):
            parent.rmdir()  # only if it is empty


def _folders(kept: Path) -> list[Path]:
    return [parent / key for parent in sorted(kept.glob("*")) for key in list_cases(parent)]


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has just deleted it
        return 0.0


def _own_bytes(folder: Path) -> int:
    total = 0
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            status = entry.stat()
            total += status.st_size if status.st_nlink == 1 else 0
    return total
