"""Finds volumes that belong to no case, each with the reason, so that a renamed folder or file does not go unnoticed."""

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from brats_cascade.data.releases import RELEASES, Release
from brats_cascade.errors import printable

if TYPE_CHECKING:
    import pandas as pd

DEEPEST = 100  # most levels below the source

# Supported formats.
READ = (".nii.gz", ".nii", ".mha", ".mhd")
# File names of volumes in any format; browsers append a counter or a suffix to downloads.
_VOLUME = re.compile(
    r"\.(nii|mha|mhd|nrrd|nhdr|hdr|img|mgh|mgz|mnc|dcm)( ?\(\d+\))?(\.(gz|zip|bz2|xz|zst))?( ?\(\d+\))?"
    r"(\.(part|crdownload|download|tmp|bak))?$",
    re.IGNORECASE,
)
_ARCHIVE = re.compile(r"\.(zip|tar|tgz|7z|rar)(\.gz|\.bz2|\.xz)?$", re.IGNORECASE)
_COPY = re.compile(r" ?\(\d+\)| - copy( ?\(\d+\))?|^copy of ", re.IGNORECASE)
_LISTING = "name it in a listing (docs/data.md)"


@dataclass(frozen=True)
class Unused:
    """A volume that belongs to no case, with one line of reason and fix, without the path."""

    path: Path
    reason: str


def is_volume(path: Path) -> bool:
    """Whether a file name is that of a volume, or of an archive that may contain some."""
    return bool(_VOLUME.search(path.name) or _ARCHIVE.search(path.name))


def explain(path: Path, *, layout: str) -> str:
    """Explains why a volume belongs to no case of a layout, and what to do; the path must be absolute."""
    name, folder = path.name, path.parent.name
    if _ARCHIVE.search(name) and not _VOLUME.search(name):
        return "it is an archive: unpack it"
    other = _release_of(path)
    if other is not None:
        return f"it is laid out as {other.name}, but only {layout} is looked for: set the layout to auto"
    original = _COPY.sub("", name)
    if original != name and _release_of(path.with_name(original)) is not None:
        return f"its name looks like that of a second copy: remove it, or rename it to {original}"
    if _release_of(path.parent.parent / name) is not None:
        return "it is one folder too deep: move it to the folder above"
    if not name.lower().endswith(READ):
        return f"files with this ending are not supported: convert it to {READ[0]}"
    expected = _expected_folder(path)
    if expected:
        return f"it is expected in a folder called {expected}, not {folder}: rename the folder, or {_LISTING}"
    for joint in ("_", "-"):
        full = f"{folder}{joint}{name}"
        if _release_of(path.with_name(full)) is not None:
            return f"its name does not contain the case name: rename it to {full}, or {_LISTING}"
    stem = name[: -len(next(end for end in READ if name.lower().endswith(end)))]
    for end in (".mha", ".nii.gz") if name.lower().endswith((".mha", ".mhd")) else (".nii.gz", ".mha"):
        release = _release_of(path.with_name(stem + end))
        if release is not None:
            return f"files of {release.name} end in {' or '.join(release.suffixes)}: convert it, or {_LISTING}"
    return f"its name fits no known layout: rename it, or {_LISTING}"


def lone_truth(release: Release, *, stem: str, folder: Path) -> str:
    """The files that are missing next to a ground truth; `stem` replaces `{case}` in their names."""
    names = ", ".join(release.expected(part, stem=stem) for part in release.files if part != "truth")
    return f"it is a ground truth without its scans: add {names} in {folder}"


def by_reason(unused: Iterable[Unused]) -> list[str]:
    """One line per reason: the first file, the number of others, and the reason."""
    groups: dict[str, list[Path]] = {}
    for volume in sorted(unused, key=lambda volume: volume.path):
        groups.setdefault(volume.reason, []).append(volume.path)
    return [
        printable(f"{first}{f' and {len(others)} more' if others else ''}: {reason}")
        for reason, (first, *others) in groups.items()
    ]


def noted_unused(table: "pd.DataFrame") -> list[Unused]:
    """The volumes that belong to no case, read from the per-case table's attributes (written by `cases.Found.notes`)."""
    return [Unused(Path(entry["file"]), entry["reason"]) for entry in table.attrs.get("unused", [])]


def walk(source: Path, *, closed: Callable[[OSError], object]) -> Iterator[Path]:
    """Every visible file below a folder, in a fixed order. Links are followed; each folder is entered once.

    `closed` is called with the error of a folder that cannot be listed, or is more than DEEPEST levels down.
    """
    entered: set[tuple[int, int]] = set()
    for folder, subfolders, files in os.walk(source, followlinks=True, onerror=closed):
        try:
            status = Path(folder).stat()
        except OSError as error:  # deleted or made unreadable since its parent was listed
            closed(error)
            continue
        if (status.st_dev, status.st_ino) in entered:
            subfolders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        if subfolders and too_deep(folder, source=source):
            closed(OSError(errno.ELOOP, f"more than {DEEPEST} folders deep", str(Path(folder) / subfolders[0])))
            subfolders.clear()
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from (Path(folder) / name for name in sorted(files) if not name.startswith("."))


def too_deep(folder: str, *, source: Path) -> bool:
    """Whether the subfolders of a folder are too deep to be entered; os.walk would hit the interpreter's recursion limit."""
    return len(Path(folder).parts) - len(source.parts) >= DEEPEST


def _release_of(path: Path) -> Release | None:
    return next((release for release in RELEASES.values() if release.part_of(path) is not None), None)


def _expected_folder(path: Path) -> str:
    """The folder name with which this file would belong to a case, or ""."""
    for release in RELEASES.values():
        if not release.own_folder or release.depth > 1:
            continue
        for part, pattern in release.files.items():
            ending = pattern.replace("{case}", "")
            for suffix in release.suffixes:
                if path.name.lower().endswith((ending + suffix).lower()):
                    stem = path.name[: -len(ending + suffix)]
                    if stem and release.part_of(path.parent.parent / stem / path.name) == part:
                        return stem
    return ""
