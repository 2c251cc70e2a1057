"""Files at which DVC would stop before the first stage: it hashes everything in data.source, not the volumes alone."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path


def dvc_stops_at(source: Path) -> list[str]:
    """Says which files DVC cannot hash, and what to do.

    Args:
        source: A folder of cases. Of a listing DVC hashes the listing alone, so that nothing is said about its scans.

    Returns:
        One line per kind of file.
    """
    if not source.is_dir():
        return []
    dead, closed = [], []
    for path in _everything(source):
        if not path.exists():
            dead.append(path)
        elif not path.is_dir() and not os.access(path, os.R_OK):
            closed.append(path)
    lines = []
    if dead:
        lines.append(
            f"{_count(dead, 'link')} to nothing, first {dead[0]} -> {dead[0].readlink()}: dvc repro would stop there with "
            f"[Errno 2]; repair the links, or remove them with: {_removal(source)}"
        )
    if closed:
        lines.append(
            f"{_count(closed, 'file')} without permission to read, first {closed[0]}: dvc repro would stop there with "
            f"[Errno 13]; give yourself permission with: chmod -R u+rX {shlex.quote(str(source))}"
        )
    return lines


def _everything(source: Path) -> Iterator[Path]:
    """Files and links in a fixed order; links to folders are followed, each folder is entered once."""
    entered = {os.path.realpath(source)}
    for folder, subfolders, files in os.walk(source, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if os.path.realpath(Path(folder) / name) not in entered)
        entered.update(os.path.realpath(Path(folder) / name) for name in subfolders)
        yield from (Path(folder) / name for name in sorted(files))


def _removal(source: Path) -> str:
    return rf"find -H {shlex.quote(str(source))} -type l ! -exec test -e {{}} \; -delete"


def _count(paths: list[Path], what: str) -> str:
    return f"{len(paths)} {what}{'s' if len(paths) > 1 else ''}"
