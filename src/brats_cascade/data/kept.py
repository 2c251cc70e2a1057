"""Cases that were ingested once, kept by content, so that another run, other parameters or other scans redo none of them.

    <kept>/<case>/<key>/   one case as the volume store has it; the key is a hash of its sources, settings and code version

Files are shared by hard links, with the volume store at first and with DVC's cache once DVC has committed the store, so that
what is kept takes no room of its own while one of the two has it. Every case appears and disappears at once: several
processes may use one folder.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from brats_cascade.data.store import ARRAYS, delete_case, list_cases, read_meta

CACHE = ".dvc/cache/files/md5"  # in a project: where DVC keeps a file under the MD5 of its content
DRAFT_SECONDS = 24 * 3600.0  # a draft that nobody has touched for that long belongs to a process that was killed


def key_of(meta: Mapping[str, Any]) -> str:
    """What a case is kept under: a hash of all that meta.json says but for its arrays' hashes, which follow from it."""
    rest = {name: value for name, value in meta.items() if name != ARRAYS}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]


def kept_cases(kept: Path, *, name: str) -> Iterable[tuple[Path, dict[str, Any]]]:
    """The folder and meta of every case that is kept under a name and whose meta is as it was written."""
    for key in list_cases(kept / name):
        meta = read_meta(kept / name / key)
        if meta is not None and key_of(meta) == key:
            yield kept / name / key, meta


def share_with_dvc(kept: Path, *, cache: Path) -> None:
    """Replaces kept files that DVC's cache holds, too, by links to these; does nothing where that cannot be."""
    for folder in _folders(kept):
        for file, md5 in (read_meta(folder) or {}).get(ARRAYS, {}).items():
            path, object_ = folder / file, cache / md5[:2] / md5[2:]
            draft = folder.parent / f".{md5}.{os.getpid()}"
            with contextlib.suppress(OSError):  # not in the cache, another file system, or taken away meanwhile
                if not path.samefile(object_):
                    draft.hardlink_to(object_)
                    draft.replace(path)


def trim(kept: Path, *, used: Iterable[Path], gigabytes: float) -> None:
    """Takes out the kept cases that were not used for longest until the rest fits into so many gigabytes.

    The folders `used` stay, and do not count; files that are linked elsewhere take nothing.
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
            parent.rmdir()  # only if nothing is in it


def _folders(kept: Path) -> list[Path]:
    return [parent / key for parent in sorted(kept.glob("*")) for key in list_cases(parent)]


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has just taken it away
        return 0.0


def _own_bytes(folder: Path) -> int:
    total = 0
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            status = entry.stat()
            total += status.st_size if status.st_nlink == 1 else 0
    return total
