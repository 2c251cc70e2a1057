"""Fills the volume store from a list of cases, several at a time, and returns the per-case table."""

import contextlib
import errno
import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade import MAX_GB
from brats_cascade.data import facts as measure
from brats_cascade.data.case import Case
from brats_cascade.data.kept import kept_cases, key_of, trim
from brats_cascade.data.prepare import CaseError, check_memory, prepare_case
from brats_cascade.data.spread import run_cases
from brats_cascade.data.store import delete_case, list_cases, place_case, read_meta, remove_drafts, write_case
from brats_cascade.data.traces import traces_of
from brats_cascade.errors import UserError, machine_error
from brats_cascade.params import Recipe

log = logging.getLogger(__name__)


def ingest(
    cases: Sequence[Case],
    *,
    root: Path,
    kept: Path,
    recipe: Recipe,
    workers: int,
    scheduler: str = "",
    keep_gb: float = 20,
    max_gb: float = MAX_GB,
) -> pd.DataFrame:
    """Makes the store hold exactly these cases: each is taken from the kept cases, or made and kept; all others are deleted.

    A case that cannot be used does not stop the others; its row has the reason. A lack of disk space, memory and the like
    stops the run. An interrupted run resumes. Kept arrays that have changed since they were written are made again.

    Args:
        cases: From find_cases.
        root: The store; no other process may write to it.
        kept: Folder of finished cases, see data.kept; best on the store's file system.
        recipe: The preprocessing.
        workers: Number of processes.
        scheduler: As in `run_cases`; the workers of a cluster must see the same folders.
        keep_gb: Disk space for kept cases that are not among `cases`, gigabytes.
        max_gb: Memory for one case, gigabytes; a case that needs more cannot be used.

    Returns:
        The per-case table, see facts.COLUMNS.

    Raises:
        UserError: As in `run_cases`.
        MachineError: Disk space, memory, open files or permissions are lacking; finished cases are kept.
    """
    root.mkdir(parents=True, exist_ok=True)
    remove_drafts(root)
    for name in set(list_cases(root)) - {case.name for case in cases}:
        log.info("%s: no longer in the source, deleted from %s", name, root)
        delete_case(root, name=name)
    work = _Ingest(recipe=recipe, max_gb=max_gb, root=root, kept=kept)
    rows = run_cases(work, cases, workers=workers, scheduler=scheduler, title="ingest")
    taken = sum(row.get("taken", False) for row in rows)
    if taken:
        log.info("%d of %d cases were ingested before", taken, len(cases))
    metas = {name: read_meta(root / name) or {} for name in list_cases(root)}
    trim(kept, used=[kept / name / key_of(meta) for name, meta in metas.items()], gigabytes=keep_gb)
    return measure.table(rows)


def survey(cases: Sequence[Case], *, workers: int, max_gb: float = MAX_GB) -> pd.DataFrame:
    """The per-case table of `ingest`, except `stored`: reads and measures everything, writes nothing."""
    work = _Ingest(recipe=Recipe(clip=0.01), max_gb=max_gb)
    return measure.table(run_cases(work, cases, workers=workers, title="check"))


@dataclass(frozen=True)
class _Ingest:
    """Takes or makes one case, stores it if there is a store, and returns its row, which records any fault of the case."""

    recipe: Recipe
    max_gb: float
    root: Path | None = None
    kept: Path | None = None

    def __call__(self, case: Case) -> dict[str, Any]:
        """Returns the row of a case.

        Raises:
            MachineError: The machine lacks a resource, or written data could not be read back. This is not a fault of the case.
        """
        try:
            return {**self._row(case), "traces": traces_of(case)}
        except (OSError, MemoryError) as error:
            raise machine_error(error, at=case.name) from None

    def _row(self, case: Case) -> dict[str, Any]:
        try:
            if self.root is None or self.kept is None:
                return prepare_case(case, recipe=self.recipe, max_gb=self.max_gb).meta["facts"]
            return self._take(case, self.root, self.kept) or self._make(case, self.root, self.kept)
        except CaseError as error:
            row = {**error.facts, "problem": str(error)}
        except (OSError, MemoryError):
            raise
        except Exception as error:
            log.exception("%s: unexpected", case.name)
            message = " ".join(f"{type(error).__name__}: {error}".split())
            row = {**measure.identity(case), "problem": f"{case.name}: could not be ingested ({message})"}
        if self.root is not None:
            delete_case(self.root, name=case.name)
        return row

    def _make(self, case: Case, root: Path, kept: Path) -> dict[str, Any]:
        prepared = prepare_case(case, recipe=self.recipe, max_gb=self.max_gb)
        facts = {**prepared.meta["facts"], "stored": True}
        # No paths or times: equal files give equal bytes in the store, wherever and whenever it is made.
        lasting = {key: value for key, value in facts.items() if key not in ("folder", "namesake", "volumes")}
        meta = {**prepared.meta, "facts": lasting}
        arrays = {part: getattr(prepared, part) for part in ("image", "brain", "labels")}
        folder = write_case(kept / case.name, name=key_of(meta), meta=meta, **arrays)
        if not place_case(folder, root, name=case.name):
            raise OSError(errno.EIO, "written, but reads back differently", str(folder))
        return facts

    def _take(self, case: Case, root: Path, kept: Path) -> dict[str, Any] | None:
        """Copies the kept case with the same sources, settings and code to the store and returns its row, or None."""
        if case.problems:
            return None
        try:
            check_memory(case, max_gb=self.max_gb)
        except UserError:
            return None
        identity = measure.identity(case)
        due = self.recipe.as_dict() | {key: identity[key] for key in ("patient", "grade", "release", "scheme")}
        files = {**case.images, **({"truth": case.truth} if case.truth is not None else {})}
        for folder, meta in kept_cases(kept, name=case.name):
            sources = meta.get("sources", {})
            if any(meta.get(key) != value for key, value in due.items()) or set(files) != set(sources):
                continue
            if meta.get("channels", {}) != case.channels:
                continue
            if not all(_same_files(path, records=sources[part]) for part, path in files.items()):
                continue
            if place_case(folder, root, name=case.name):
                with contextlib.suppress(OSError):
                    os.utime(folder)  # records the last use
                return {**meta["facts"], **identity, "stored": True, "taken": True}
            log.warning("%s: its kept files have changed; it is processed again", case.name)
            delete_case(folder.parent, name=folder.name)
        return None


def _same_files(path: Path, *, records: Sequence[dict[str, Any]]) -> bool:
    """Whether a volume's file, and for an .mhd the file with its voxels, have the recorded contents."""
    places = [path, *(path.with_name(record["file"]) for record in records[1:])]
    try:
        return bool(records) and all(
            place.stat().st_size == record["size"]
            and hashlib.sha256(place.read_bytes()).hexdigest() == record["sha256"]
            for place, record in zip(places, records, strict=True)
        )
    except OSError:
        return False
