"""Finds files of data.source that DVC cannot hash, and files that it overlooks. DVC hashes the folder before any stage runs."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from brats_cascade.data.unused import too_deep
from brats_cascade.errors import printable

AGAIN = "dvc repro --force --single-item ingest"


def dvc_stops_at(source: Path) -> list[str]:
    """One line per kind of file in the source that DVC cannot hash, with what to do."""
    dead, closed, misnamed, endless = [], [], [], []
    for path in _files(source):
        if str(path).encode(errors="replace") != os.fsencode(path):
            misnamed.append(path)
        elif not path.exists():
            dead.append(path)
        elif not path.is_file():
            endless.append(path)
        elif not os.access(path, os.R_OK):
            closed.append(path)
    lines = []
    place = shlex.quote(str(source))
    if dead:
        lines.append(
            f"{_count(dead, 'dangling link')}, first {dead[0]} -> {dead[0].readlink()}: dvc repro would stop there with "
            f"[Errno 2]; repair the links, or remove them with: find -H {place} -type l ! -exec test -e {{}} \\; -delete"
        )
    if closed:
        lines.append(
            f"{_count(closed, 'file')} without read permission, first {closed[0]}: dvc repro would stop there with "
            f"[Errno 13]; give yourself permission with: chmod -R u+rX {place}"
        )
    if misnamed:
        lines.append(
            f"{_count(misnamed, 'file')} whose name is not UTF-8, first {misnamed[0]}: dvc repro would stop there with 'utf-8' "
            "codec can't encode; rename the file, or its folder"
        )
    if endless:
        lines.append(
            f"{_count(endless, 'special file')} (pipe, device or socket), first {endless[0]}: dvc repro would hang or stop "
            "there; remove them from the folder"
        )
    return [printable(line) for line in lines]


def dvc_overlooks(source: Path) -> list[str]:
    """One line per kind of scan that DVC does not hash, so that it would not notice a changed cohort."""
    if source.is_file():
        return [f"{source}: DVC hashes the listing, not the scans that it names; if these change, run: {AGAIN}"]
    links = [path for path in _files(source, folders=True) if path.is_dir()]
    if not links:
        return []
    line = (
        f"{_count(links, 'link')} to a folder, first {links[0]} -> {links[0].readlink()}: DVC does not hash files "
        f"behind such links; link the files instead, or if the scans change, run: {AGAIN}"
    )
    return [printable(line)]


def _files(source: Path, *, folders: bool = False) -> Iterator[Path]:
    """Files and links to files, or links to folders with their files. Like DVC, it does not follow links to folders."""
    for folder, subfolders, files in os.walk(source):
        subfolders[:] = [] if too_deep(folder, source=source) else sorted(subfolders)
        links = [name for name in subfolders if folders and (Path(folder) / name).is_symlink()]
        yield from (Path(folder) / name for name in sorted([*files, *links]))


def _count(paths: list[Path], what: str) -> str:
    return f"{len(paths)} {what}{'s' if len(paths) > 1 else ''}"
