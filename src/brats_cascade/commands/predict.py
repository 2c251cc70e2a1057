"""brats-cascade predict: segments many cases, sets bad ones aside, resumes; in one process, several, or on a Dask cluster."""

import hashlib
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from brats_cascade.data.case import Case
from brats_cascade.data.cases import search
from brats_cascade.data.spread import run_cases
from brats_cascade.data.unused import by_reason
from brats_cascade.errors import UserError
from brats_cascade.inference.chosen import Chosen
from brats_cascade.inference.finished import is_finished, refuse_input_folders
from brats_cascade.inference.fit import describe_misfits
from brats_cascade.inference.postprocess import OFF, Rule
from brats_cascade.inference.volumes import complete_volumes, keep_volumes, region_volumes
from brats_cascade.labels import SCHEMES

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
    strict: bool
    options: str


def run(
    folders: Sequence[Path],
    *,
    models: Sequence[str] = (),
    out: Path,
    kinds: Sequence[str] = ("seg",),
    precision: str = "float32",
    slices: int = 4,
    thresholds: Mapping[str, float | None] | None = None,
    flips: bool | None = None,
    allow_merged: bool = False,
    strict: bool = False,
    scheme: str = "auto",
    overwrite: bool = False,
    workers: int = 1,
    scheduler: str = "",
) -> int:
    """Segments every case found in the folders.

    Args:
        folders: Of one case or of many each.
        models: Folders or MLflow URIs; the probabilities of several are averaged. None: the registered champion.
        out: Where the files go.
        kinds: What to write, keys of `inference.kinds.KINDS`.
        precision: "float32" or "bfloat16".
        slices: Slices computed at once.
        thresholds: Attributes of `Rule`; None takes what evaluation chose for the first model.
        flips: Also segment the mirror image, and average; None: as the first model was evaluated.
        allow_merged: As in `predict_case`.
        strict: Likewise.
        scheme: Key of labels.SCHEMES for what is written; "auto" is that of each case's release.
        overwrite: Redo cases whose files are there.
        workers: Processes of this machine, each with its own copy of the networks.
        scheduler: Address of a Dask scheduler; "" for this machine.

    Returns:
        Number of cases that could not be segmented.

    Raises:
        UserError: No case, no model, no room for the files, or an option that is none.
    """
    if precision not in PRECISIONS:
        raise UserError(f"--precision: expected {' or '.join(PRECISIONS)}, got {precision!r}")
    cases = _cases(folders, scheme=scheme)
    refuse_input_folders(cases, out=out)

    from brats_cascade.backend import start_backend

    start_backend()
    from brats_cascade.inference.output import open_folder
    from brats_cascade.precision import warn_if_slow

    if not scheduler:  # on a cluster other machines compute
        warn_if_slow(precision, training=False)
    _opened.cache_clear()
    if not models:
        from brats_cascade.commands.model import champion

        models = [champion()]
    open_folder(out)
    members, chosen = _opened(tuple(models), precision)
    given = {name: value for name, value in (thresholds or {}).items() if value is not None}
    rule = replace(chosen.rule if chosen else OFF, **given)
    if flips is None:
        flips = chosen is not None and chosen.flips
        if flips:
            print("averages with the mirror image, as in the model's evaluation (--no-flips)", file=sys.stderr)
    source = "as given" if given else "chosen on validation" if chosen else "no choice is recorded for this model"
    print(f"post-processing {rule} ({source})", file=sys.stderr)
    options = _options(members, precision=precision, rule=rule, flips=flips, scheme=scheme)
    finished, waiting = _sort_out(cases, out=out, kinds=kinds, options=options, overwrite=overwrite)
    refused = len(cases) - len(finished) - len(waiting)
    complete_volumes(out, finished=finished)
    if finished:
        checked = "without a look at how they fit the model; " if strict else ""
        print(
            f"{len(finished)} of {len(cases)} cases are in {out} already ({checked}--overwrite redoes them)",
            file=sys.stderr,
        )
    job = Job(tuple(models), out, tuple(kinds), precision, slices, rule, flips, allow_merged, strict, options)
    keep = partial(_keep, out=out, told=set())
    rows = run_cases(
        partial(segment_one, job=job), waiting, workers=workers, scheduler=scheduler, title="predict", each=keep
    )
    failed = sum("error" in row for row in rows) + refused
    apart = sum(bool(row.get("misfits")) for row in rows)
    if apart > 1:
        print(f"{apart} of {len(rows) - failed} cases may not fit the model (--strict refuses them)", file=sys.stderr)
    if failed:
        print(f"{failed} of {len(waiting) + refused} cases could not be segmented", file=sys.stderr)
    return failed


def segment_one(case: Case, *, job: Job) -> dict[str, Any]:
    """Segments one case and writes its files.

    Args:
        case: The case.
        job: How.

    Returns:
        "case", "path", the volumes, "misfits" and "warnings"; or "case" and "error": what is wrong with the case, one line.

    Raises:
        WriteError: Nothing can be written; every other case would fail the same way.
    """
    members, _ = _opened(job.models, job.precision)
    from brats_cascade.inference.output import WriteError, write_prediction
    from brats_cascade.inference.predict import predict_case

    row: dict[str, Any] = {"case": case.name}
    try:
        prediction = predict_case(
            case, members=members, slices=job.slices, rule=job.rule, flips=job.flips, allow_merged=job.allow_merged,
            strict=job.strict,
        )  # fmt: skip
        row["path"] = str(write_prediction(prediction, case=case, out=job.out, kinds=job.kinds, options=job.options))
        voxel = math.prod(prediction.prepared.meta["spacing"])
        row |= region_volumes(prediction.labels, voxel_mm3=voxel, scheme=case.scheme)
        row["misfits"], row["warnings"] = prediction.misfits, prediction.warnings
    except WriteError:
        raise
    except UserError as error:
        row["error"] = str(error)
    return row


def _sort_out(
    cases: Sequence[Case], *, out: Path, kinds: Sequence[str], options: str, overwrite: bool
) -> tuple[list[Case], list[Case]]:
    """The finished cases and those to be done; of the others, whose files must not be replaced, it tells."""
    finished: list[Case] = []
    waiting: list[Case] = []
    for case in cases:
        try:
            done = is_finished(case, out=out, kinds=kinds, options=options, overwrite=overwrite)
            (finished if done else waiting).append(case)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
    return finished, waiting


def _keep(row: dict[str, Any], *, out: Path, told: set[str]) -> None:
    """Reports a case as soon as it is done, and puts its volumes into the table.

    Of cases to which the same applies, only the first is warned of.
    """
    if "error" in row:
        tqdm.write(f"error: {row['error']}", file=sys.stderr)
        return
    keep_volumes(out, rows=[row])
    apart = [misfit.text for misfit in row["misfits"]]
    for reasons, line in ((apart, describe_misfits(row["misfits"])), *(([text], text) for text in row["warnings"])):
        if not told.issuperset(reasons):
            told.update(reasons)
            tqdm.write(f"warning: {row['case']}: {line}", file=sys.stderr)
    tqdm.write(row["path"])


def _options(members: Sequence[Any], *, precision: str, rule: Rule, flips: bool, scheme: str) -> str:
    """A word for all that decides what is written for a case: the networks' weights and the options."""
    from brats_cascade.models.files import weights_digest

    thresholds = {name: float(value) for name, value in sorted(rule.as_dict().items())}
    parts = ([weights_digest(member.network) for member in members], precision, thresholds, flips, scheme)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]


@lru_cache(maxsize=1)
def _opened(models: tuple[str, ...], precision: str) -> tuple[list[Any], Chosen | None]:
    """The networks, opened once in a process."""
    from brats_cascade.backend import start_backend

    start_backend()
    from brats_cascade.commands.model import open_models

    return open_models(models, precision=precision)


def _cases(folders: Sequence[Path], *, scheme: str) -> list[Case]:
    if scheme != "auto" and scheme not in SCHEMES:
        raise UserError(f"--scheme: expected auto or one of {', '.join(SCHEMES)}, got {scheme!r}")
    searched = [search(folder) for folder in folders]
    lines = by_reason(one for found in searched for one in found.unused)
    for line in lines[:3]:
        print(f"warning: seen, not used: {line}", file=sys.stderr)
    if len(lines) > 3:
        print(f"warning: {len(lines) - 3} more reasons: see `brats-cascade data check`", file=sys.stderr)
    found = [case for one in searched for case in one.cases]
    if scheme != "auto":
        found = [replace(case, scheme=scheme) for case in found]
    names = [case.name for case in found]
    double = {name for name in names if names.count(name) > 1}
    if double:
        raise UserError(
            f"{min(double)}: found in two of the folders given; their files would overwrite each other: name one"
        )
    return found
