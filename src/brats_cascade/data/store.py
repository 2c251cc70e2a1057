"""The volume store: one folder per case with memory-mapped arrays, written atomically.

    <root>/<case>/image.npy   float32 (slices, rows, columns, modalities), cropped to the brain's box
                  brain.npy   bool    (slices, rows, columns)
                  labels.npy  uint8   (slices, rows, columns), canonical; only with ground truth
                  meta.json   source, preprocessing, and the MD5 of every array's file

A folder whose name starts with "." was being written when its process was killed.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.errors import UserError, is_trouble, naming
from brats_cascade.labels import REGIONS
from brats_cascade.shapes import problem_of
from brats_cascade.shared import draft_for

META = "meta.json"
ARRAYS = "arrays"  # in meta.json: name of an array's file -> MD5, the hash that DVC uses


@dataclass(frozen=True)
class StoredCase:
    """A case as the networks see it; its arrays are as in the module's docstring, memory-mapped if they come from the store.

    In `meta`, `shape` is the shape of the whole volume, `offset` the first voxel of the box, `spacing` is in mm, and `facts`
    is the case's row of the per-case table. `shape`, `offset` and `affine` map the box back to the case's own grid.
    `truth_outside_box` counts the voxels of every tumour label in the ground truth that lie outside the box.
    """

    name: str
    image: np.ndarray
    brain: np.ndarray
    labels: np.ndarray | None
    meta: dict[str, Any]

    @property
    def outside(self) -> dict[str, int]:
        """Region -> voxels of the ground truth outside the box, which no prediction can find."""
        counts = self.meta.get("truth_outside_box", {})
        return {region: sum(counts.get(str(label), 0) for label in labels) for region, labels in REGIONS.items()}


def write_case(
    root: Path, *, name: str, image: np.ndarray, brain: np.ndarray, labels: np.ndarray | None, meta: Mapping[str, Any]
) -> Path:
    """Writes or replaces a case; a kill at any moment leaves no half-written case."""
    with _draft(root, name=name) as draft:
        _save(draft / "image.npy", np.ascontiguousarray(image, dtype=np.float32))
        _save(draft / "brain.npy", np.ascontiguousarray(brain, dtype=bool))
        if labels is not None:
            _save(draft / "labels.npy", np.ascontiguousarray(labels, dtype=np.uint8))
        whole = {**meta, ARRAYS: {path.name: md5_of(path) for path in sorted(draft.iterdir())}}
        text = json.dumps(whole, indent=1, sort_keys=True, allow_nan=False)
        (draft / META).write_text(f"{text}\n", encoding="utf-8")
    return root / name


def _save(path: Path, array: np.ndarray) -> None:
    """Writes an array as np.save does, but with errors that state the reason: no space, or a limit on file size."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)


def place_case(source: Path, root: Path, *, name: str) -> bool:
    """Puts a case from another folder into a store under a name, as hard links if the file system has them.

    Every array is read and compared with its hash. Files that are already those of `source` are kept.

    Returns:
        Whether the case is intact; if not, the store is unchanged.
    """
    try:
        hashes = (read_meta(source) or {})[ARRAYS]
        if {file: md5_of(source / file) for file in hashes} != hashes or not hashes:
            return False
        files = {META, *hashes}
        with contextlib.suppress(FileNotFoundError):
            there = {path.name for path in (root / name).iterdir()}
            if there == files and all((root / name / file).samefile(source / file) for file in files):
                return True
        with _draft(root, name=name) as draft:
            for file in files:
                _link(source / file, draft / file)
    except (FileNotFoundError, KeyError, TypeError):  # no valid meta, or deleted by another process
        return False
    return True


def md5_of(path: Path) -> str:
    """The hash that DVC gives a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _link(source: Path, path: Path) -> None:
    try:
        path.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:  # a different file system, or one without hard links
        shutil.copy2(source, path)


@contextlib.contextmanager
def _draft(root: Path, *, name: str) -> Iterator[Path]:
    """A hidden folder that replaces the case once it is filled, and is deleted after a failure."""
    draft = draft_for(root / name)
    try:
        with naming(root / name, draft=draft):
            draft.mkdir()
            yield draft
        for _ in range(3):
            delete_case(root, name=name)
            try:
                draft.replace(root / name)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                continue  # a worker that survived its killed parent has just written the same case
    finally:
        # Exists only after a failure, such as a full disk. DVC would version files left in the store.
        shutil.rmtree(draft, ignore_errors=True)
    raise UserError(f"{root / name}: another process keeps writing this case; wait for it to end, then run again")


def read_meta(folder: Path) -> dict[str, Any] | None:
    """A case's meta.json, or None if the folder holds no case."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if is_trouble(error):
            raise
        return None
    return meta if isinstance(meta, dict) and not problem_of(folder / META, meta) else None


def open_case(folder: Path) -> StoredCase:
    """Opens a case of the store without reading its voxels.

    Raises:
        UserError: The folder does not hold a complete case.
    """
    meta = read_meta(folder)
    try:
        if meta is None:
            raise FileNotFoundError(f"{META} is not there, or damaged")
        arrays = {part: np.load(folder / f"{part}.npy", mmap_mode="r") for part in ("image", "brain")}
        has_labels = (folder / "labels.npy").exists()
        labels = np.load(folder / "labels.npy", mmap_mode="r") if has_labels else None
    except (OSError, ValueError) as error:
        if is_trouble(error):
            raise
        raise UserError(f"{folder}: expected a case of the volume store, but {error}; run the ingest stage") from None
    return StoredCase(name=folder.name, image=arrays["image"], brain=arrays["brain"], labels=labels, meta=meta)


def list_cases(root: Path) -> list[str]:
    """The names of the cases in a store, sorted."""
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in root.iterdir() if entry.name[0] != "." and (entry / META).is_file())


def delete_case(root: Path, *, name: str) -> None:
    """Deletes a case atomically: after a kill it is either complete or gone."""
    folder = root / name
    if not folder.exists():
        return
    grave = root / f".{name}.{os.getpid()}.{time.monotonic_ns()}"
    folder.replace(grave)
    shutil.rmtree(grave)


def remove_drafts(root: Path) -> None:
    """Removes the leftovers of killed processes; no other process may be writing to this store."""
    if root.is_dir():
        for entry in root.iterdir():
            if entry.name.startswith(".") and entry.is_dir():
                shutil.rmtree(entry)
