"""brats-cascade predict: many cases, past bad ones, and on where it stopped; on one process, several, or a Dask cluster."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from brats_cascade.data.cases import Case, find_cases
from brats_cascade.data.spread import run_cases
from brats_cascade.errors import UserError
from brats_cascade.inference.kinds import target
from brats_cascade.inference.postprocess import OFF, Rule

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Job:
    """What is done with every case; travels to the processes that do it."""

    models: tuple[str, ...]
    out: Path
    kinds: tuple[str, ...]
    precision: str
    slices: int
    rule: Rule
    flips: bool
    allow_merged: bool
    speak: bool


def run(
    folders: Sequence[Path],
    *,
    models: Sequence[str],
    out: Path,
    kinds: Sequence[str] = ("seg",),
    precision: str = "float32",
    slices: int = 4,
    thresholds: Mapping[str, float | None] | None = None,
    flips: bool = False,
    allow_merged: bool = False,
    overwrite: bool = False,
    workers: int = 1,
    scheduler: str = "",
) -> int:
    """Segments every case found in the folders.

    Args:
        folders: Of one case or of many each.
        models: Folders or MLflow URIs; the probabilities of several are averaged.
        out: Where the files go.
        kinds: What to write, keys of `inference.kinds.KINDS`.
        precision: "float32" or "bfloat16".
        slices: Slices computed at once.
        thresholds: Attributes of `Rule`; None takes what evaluation chose for the first model.
        flips: Also segment the mirror image, and average.
        allow_merged: As in `predict_case`.
        overwrite: Redo cases whose files are there.
        workers: Processes of this machine, each with its own copy of the networks.
        scheduler: Address of a Dask scheduler; "" for this machine.

    Returns:
        Number of cases that could not be segmented.

    Raises:
        UserError: No case, no model, no room for the files, or an option that is none.
    """
    if precision not in PRECISIONS:
        raise UserError(f"--precision: expected {' or '.join(PRECISIONS)}, received {precision!r}")
    cases = _cases(folders)
    waiting = [case for case in cases if overwrite or not _is_done(case, out=out, kinds=kinds)]
    if len(waiting) < len(cases):
        done = len(cases) - len(waiting)
        print(f"{done} of {len(cases)} cases are in {out} already (--overwrite redoes them)", file=sys.stderr)
    if not waiting:
        return 0

    from brats_cascade.backend import start_backend

    start_backend()
    from brats_cascade.inference.output import open_folder
    from brats_cascade.precision import warn_if_slow

    open_folder(out)
    if not scheduler:  # on a cluster other machines compute
        warn_if_slow(precision, training=False)
    _opened.cache_clear()
    _, chosen = _opened(tuple(models), precision)
    given = {name: value for name, value in (thresholds or {}).items() if value is not None}
    rule = replace(chosen or OFF, **given)
    source = "as given" if given else "chosen on validation" if chosen else "no choice is recorded for this model"
    print(f"post-processing {rule} ({source})", file=sys.stderr)
    job = Job(tuple(models), out, tuple(kinds), precision, slices, rule, flips, allow_merged, speak=not scheduler)
    rows = run_cases(partial(segment_one, job=job), waiting, workers=workers, scheduler=scheduler, title="predict")
    if not job.speak:
        for row in rows:
            _say(row)
    failed = sum("error" in row for row in rows)
    if failed:
        print(f"{failed} of {len(waiting)} cases could not be segmented", file=sys.stderr)
    return failed


def segment_one(case: Case, *, job: Job) -> dict[str, Any]:
    """Segments one case and writes its files.

    Args:
        case: The case.
        job: How.

    Returns:
        "case" and "path", or "error": what is wrong with the case, one line.

    Raises:
        WriteError: Nothing can be written; every other case would fail the same way.
    """
    members, _ = _opened(job.models, job.precision)
    from brats_cascade.inference.output import WriteError, write_prediction
    from brats_cascade.inference.predict import predict_case

    row: dict[str, Any] = {"case": case.name}
    try:
        prediction = predict_case(
            case, members=members, slices=job.slices, rule=job.rule, flips=job.flips, allow_merged=job.allow_merged
        )
        row["path"] = str(write_prediction(prediction, case=case, out=job.out, kinds=job.kinds))
    except WriteError:
        raise
    except UserError as error:
        row["error"] = str(error)
    if job.speak:
        _say(row)
    return row


@lru_cache(maxsize=1)
def _opened(models: tuple[str, ...], precision: str) -> tuple[list[Any], Rule | None]:
    """The networks, opened once in a process."""
    from brats_cascade.backend import start_backend

    start_backend()
    from brats_cascade.commands.model import open_models

    return open_models(models, precision=precision)


def _say(row: Mapping[str, Any]) -> None:
    if "error" in row:
        tqdm.write(f"error: {row['error']}", file=sys.stderr)
    else:
        tqdm.write(row["path"])


def _is_done(case: Case, *, out: Path, kinds: Sequence[str]) -> bool:
    return all(target(case.name, kind=kind, out=out).is_file() for kind in {*kinds, "seg"})


def _cases(folders: Sequence[Path]) -> list[Case]:
    found = [case for folder in folders for case in find_cases(folder)]
    names = [case.name for case in found]
    double = {name for name in names if names.count(name) > 1}
    if double:
        raise UserError(
            f"{min(double)}: found in two of the folders given; their files would overwrite each other: name one"
        )
    return found
