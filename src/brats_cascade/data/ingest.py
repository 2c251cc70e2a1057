"""Fills the volume store from a list of cases, several at a time, and tells what is in them as a table."""

import hashlib
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade.data import facts as measure
from brats_cascade.data.cases import Case
from brats_cascade.data.prepare import VERSION, CaseError, PreparedCase, prepare_case
from brats_cascade.data.recipe import Recipe
from brats_cascade.data.spread import run_cases
from brats_cascade.data.store import delete_case, list_cases, read_meta, sweep, write_case
from brats_cascade.data.writeback import restore_labels, write_segmentation

__all__ = ["CaseError", "PreparedCase", "ingest", "prepare_case", "restore_labels", "survey", "write_segmentation"]

log = logging.getLogger(__name__)


def ingest(
    cases: Sequence[Case],
    *,
    root: Path,
    clip: float,
    n4: bool = False,
    zscore: str = "brain",
    axis: str = "axial",
    workers: int,
    scheduler: str = "",
) -> pd.DataFrame:
    """Brings the store in line with the cases: new and changed ones are made, removed ones deleted, the rest left.

    A case that cannot be used never stops the others; its row says why. Killed and started again, it goes on where it
    was.

    Args:
        cases: From find_cases.
        root: The store; nobody else may be writing to it.
        clip: Share of the brain's intensities cut at either end of each modality.
        n4: As Recipe.
        zscore: As Recipe.
        axis: As Recipe.
        workers: Processes.
        scheduler: Address of a Dask scheduler whose workers see the same folders; "" for processes of this machine.

    Returns:
        The per-case table, see facts.COLUMNS.

    Raises:
        UserError: A worker process was killed from outside, a parameter that is none, or no scheduler answers.
    """
    recipe = Recipe(clip=clip, n4=n4, zscore=zscore, axis=axis)
    root.mkdir(parents=True, exist_ok=True)
    sweep(root)
    for name in set(list_cases(root)) - {case.name for case in cases}:
        log.info("%s: no longer in the source, deleted from %s", name, root)
        delete_case(root, name=name)
    rows, waiting = [], []
    for case in cases:
        row = _unchanged(case, root=root, recipe=recipe)
        if row is None:
            waiting.append(case)
        else:
            rows.append(row)
    if rows:
        log.info("%d of %d cases are unchanged", len(rows), len(cases))
    work = partial(_ingest_one, root=root, recipe=recipe)
    rows.extend(run_cases(work, waiting, workers=workers, scheduler=scheduler, title="ingest"))
    return measure.table(rows)


def survey(cases: Sequence[Case], *, workers: int) -> pd.DataFrame:
    """The per-case table of cases as they lie there: everything is read and measured, nothing is written.

    Args:
        cases: From find_cases.
        workers: Processes.

    Returns:
        The table that `ingest` would return, but for `stored`.
    """
    work = partial(_ingest_one, root=None, recipe=Recipe(clip=0.01))
    return measure.table(run_cases(work, cases, workers=workers, title="check"))


def _ingest_one(case: Case, *, root: Path | None, recipe: Recipe) -> dict[str, Any]:
    """Makes one case, stores it where there is a store, and returns its row; whatever goes wrong ends in the row."""
    try:
        prepared = prepare_case(case, **recipe.as_dict())
        facts = {**prepared.facts, "stored": root is not None}
        if root is not None:
            # Neither places nor times: equal files give equal bytes in the store, wherever and whenever it is made.
            lasting = {key: value for key, value in facts.items() if key not in ("folder", "namesake", "volumes")}
            meta = {**prepared.meta, "facts": lasting}
            arrays = {part: getattr(prepared, part) for part in ("image", "brain", "labels")}
            write_case(root, name=case.name, meta=meta, **arrays)
        return facts
    except CaseError as error:
        row = {**error.facts, "problem": str(error)}
    except Exception as error:
        log.exception("%s: unexpected", case.name)
        message = " ".join(f"{type(error).__name__}: {error}".split())
        row = {**measure.identity(case), "problem": f"{case.name}: could not be ingested ({message})"}
    if root is not None:
        delete_case(root, name=case.name)
    return row


def _unchanged(case: Case, *, root: Path, recipe: Recipe) -> dict[str, Any] | None:
    """The row of a case that is stored and would come out the same, or None."""
    meta = read_meta(root / case.name)
    if meta is None or case.problems:
        return None
    identity = measure.identity(case)
    due = {"version": VERSION, **recipe.as_dict()}
    due |= {key: identity[key] for key in ("patient", "grade", "release", "scheme")}
    files = {**case.images, **({"truth": case.truth} if case.truth is not None else {})}
    sources = meta.get("sources", {})
    if any(meta.get(key) != value for key, value in due.items()) or set(files) != set(sources):
        return None
    if not all(_same_files(path, records=sources[part]) for part, path in files.items()):
        return None
    return {**meta["facts"], **identity, "stored": True}


def _same_files(path: Path, *, records: Sequence[dict[str, Any]]) -> bool:
    """Whether a volume's file, and the one beside it that an .mhd names, have the contents on record."""
    places = [path, *(path.with_name(record["file"]) for record in records[1:])]
    return bool(records) and all(map(_same_file, places, records))


def _same_file(path: Path, record: dict[str, Any]) -> bool:
    try:
        if path.stat().st_size != record["size"]:
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == record["sha256"]
    except OSError:
        return False
