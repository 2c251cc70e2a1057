"""brats-cascade predict: segments cases, in one or several processes or on a Dask cluster; a rerun resumes."""

import hashlib
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from brats_cascade.commands.options import PredictOptions
from brats_cascade.data.case import Case
from brats_cascade.data.dicom import search_any
from brats_cascade.data.spread import run_cases
from brats_cascade.data.unused import by_reason
from brats_cascade.errors import UserError
from brats_cascade.inference.chosen import Chosen
from brats_cascade.inference.finished import is_finished, refuse_input_folders
from brats_cascade.inference.fit import describe_misfits
from brats_cascade.inference.postprocess import OFF, Thresholds
from brats_cascade.inference.volumes import complete_volumes, keep_volumes, region_volumes, target
from brats_cascade.labels import SCHEMES
from brats_cascade.shared import open_folder

PRECISIONS = ("float32", "bfloat16", "auto")
FORMATS = ("nifti", "dicom-seg")


class Settled(NamedTuple):
    """Settings taken from options or models: thresholds, flips, and a digest of everything that determines the output."""

    thresholds: Thresholds
    flips: bool
    digest: str


def run(folders: Sequence[Path], options: PredictOptions) -> int:
    """Segments all cases in the given folders; returns the number of cases that could not be segmented."""
    if options.precision not in PRECISIONS:
        raise UserError(
            f"--precision: expected {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}, got {options.precision!r}"
        )
    cases = _cases(folders, scheme=options.scheme, converted=options.out / ".dicom")
    refuse_input_folders(cases, out=options.out)

    from brats_cascade.backend import start_backend

    start_backend()
    from brats_cascade import precision

    # On a cluster other machines compute, in the precision that is settled here.
    options = replace(options, precision=precision.settled(options.precision))
    if not options.scheduler:
        precision.warn_if_emulated(options.precision)
    _opened.cache_clear()
    if not options.model:
        from brats_cascade.commands.model import champion

        options = replace(options, model=[champion()])
    open_folder(options.out)
    start_formats(options, cases=cases)
    settled = _settle(options)
    finished, waiting = _sort_out(cases, options=options, digest=settled.digest)
    complete_volumes(options.out, finished=finished)
    if finished:
        checked = "fit to the model not checked; " if options.strict else ""
        print(
            f"{len(finished)} of {len(cases)} cases are finished in {options.out} ({checked}--overwrite segments them again)",
            file=sys.stderr,
        )
    rows = run_cases(
        partial(segment_case, options=options, settled=settled), waiting, workers=options.workers,
        scheduler=options.scheduler, title="predict", each=partial(_keep, out=options.out, reported=set()),
    )  # fmt: skip
    return _count_failed(rows, refused=len(cases) - len(finished) - len(waiting), waiting=len(waiting))


def _settle(options: PredictOptions) -> Settled:
    """Takes settings that the options leave open from the models, and prints them."""
    from brats_cascade.models.files import weights_digest

    members, chosen = _opened(tuple(options.model or ()), options.precision)
    given = options.thresholds
    thresholds = replace(chosen.thresholds if chosen else OFF, **given)
    flips = options.flips
    if flips is None:
        flips = chosen is not None and chosen.flips
        if flips:
            print(
                "averaging with the mirrored image, as in the model's evaluation (--no-flips turns it off)",
                file=sys.stderr,
            )
    source = "as given" if given else "chosen on validation" if chosen else "no choice is recorded for this model"
    print(f"post-processing {thresholds} ({source})", file=sys.stderr)
    numbers = {name: float(value) for name, value in sorted(thresholds.as_dict().items())}
    parts = ([weights_digest(member.network) for member in members], options.precision, numbers, flips, options.scheme)
    return Settled(thresholds, flips, hashlib.sha256(repr(parts).encode()).hexdigest()[:8])


def _count_failed(rows: Sequence[dict[str, Any]], *, refused: int, waiting: int) -> int:
    """Counts the cases that failed, and prints a summary of those and of cases that may not fit."""
    failed = sum("error" in row for row in rows) + refused
    misfits = sum(bool(row.get("misfits")) for row in rows)
    if misfits > 1:
        print(f"{misfits} of {len(rows) - failed} cases may not fit the model (--strict refuses them)", file=sys.stderr)
    if failed:
        print(f"{failed} of {waiting + refused} cases could not be segmented", file=sys.stderr)
    return failed


def segment_case(case: Case, *, options: PredictOptions, settled: Settled) -> dict[str, Any]:
    """Segments one case and writes its files.

    Returns:
        "case", "path", the volumes, "misfits" and "warnings"; or "case" and "error", a one-line reason.
    """
    members, _ = _opened(tuple(options.model or ()), options.precision)
    from brats_cascade.inference.output import write_prediction
    from brats_cascade.inference.predict import predict_case

    row: dict[str, Any] = {"case": case.name}
    try:
        prediction = predict_case(
            case, members=members, slices=options.slices, thresholds=settled.thresholds, flips=settled.flips,
            allow_merged=options.allow_merged, strict=options.strict, max_gb=options.max_gb,
        )  # fmt: skip
        path = write_prediction(prediction, case=case, out=options.out, kinds=options.kinds, options=settled.digest)
        _write_formats(case, options=options)
        row["path"] = str(path)
        voxel = math.prod(prediction.prepared.meta["spacing"])
        row |= region_volumes(prediction.labels, voxel_mm3=voxel, scheme=case.scheme)
        row["misfits"], row["warnings"] = prediction.misfits, prediction.warnings
    except UserError as error:
        row["error"] = str(error)
    return row


def start_formats(options: PredictOptions, *, cases: Sequence[Case]) -> None:
    """Writes the files that all cases share in the requested formats, and refuses formats that cannot be written."""
    from brats_cascade.inference.dicom_seg import check_dicom
    from brats_cascade.inference.labelled import start_bids, write_colours

    if options.form not in FORMATS:
        raise UserError(f"--format: expected {' or '.join(FORMATS)}, got {options.form!r}")
    if options.form == "dicom-seg":
        check_dicom(cases)
    if options.bids is not None:
        if options.bids.resolve().is_relative_to(options.out.resolve()):
            raise UserError(
                f"--bids {options.bids}: lies in --out, where its copies would be scored, too; choose another folder"
            )
        start_bids(options.bids, cases=cases)
    if options.colours:
        write_colours(options.out, schemes=[case.scheme for case in cases])


def _write_formats(case: Case, *, options: PredictOptions) -> None:
    """Writes the other formats of a case that is in the output folder."""
    from brats_cascade.inference.dicom_seg import write_dicom_seg
    from brats_cascade.inference.labelled import put_bids

    segmentation = target(case.name, kind="seg", out=options.out)
    if options.form == "dicom-seg":
        write_dicom_seg(options.out / f"{case.name}_seg.dcm", segmentation=segmentation, case=case)
    if options.bids is not None:
        put_bids(options.bids, segmentation=segmentation, case=case)


def _sort_out(cases: Sequence[Case], *, options: PredictOptions, digest: str) -> tuple[list[Case], list[Case]]:
    """The finished cases, in all formats, and those to be segmented; prints an error for the others."""
    finished: list[Case] = []
    waiting: list[Case] = []
    for case in cases:
        try:
            done = is_finished(case, out=options.out, kinds=options.kinds, options=digest, overwrite=options.overwrite)
            if done:
                _write_formats(case, options=options)
            (finished if done else waiting).append(case)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
    return finished, waiting


def _keep(row: dict[str, Any], *, out: Path, reported: set[str]) -> None:
    """Reports a finished case, and adds its volumes to the table.

    Each warning is printed for the first case only.
    """
    if "error" in row:
        tqdm.write(f"error: {row['error']}", file=sys.stderr)
        return
    keep_volumes(out, rows=[row])
    texts = [misfit.text for misfit in row["misfits"]]
    for reasons, line in ((texts, describe_misfits(row["misfits"])), *(([text], text) for text in row["warnings"])):
        if not reported.issuperset(reasons):
            reported.update(reasons)
            tqdm.write(f"warning: {row['case']}: {line}", file=sys.stderr)
    tqdm.write(row["path"])


@lru_cache(maxsize=1)
def _opened(models: tuple[str, ...], precision: str) -> tuple[list[Any], Chosen | None]:
    """The networks, opened once per process."""
    from brats_cascade.backend import start_backend

    start_backend()
    from brats_cascade.commands.model import open_models

    return open_models(models, precision=precision)


def _cases(folders: Sequence[Path], *, scheme: str, converted: Path) -> list[Case]:
    if scheme != "auto" and scheme not in SCHEMES:
        raise UserError(f"--scheme: expected auto or one of {', '.join(SCHEMES)}, got {scheme!r}")
    searched = [search_any(folder, out=converted) for folder in folders]
    lines = by_reason(volume for found in searched for volume in found.unused)
    for line in lines[:3]:
        print(f"warning: not used: {line}", file=sys.stderr)
    if len(lines) > 3:
        print(f"warning: {len(lines) - 3} more reasons: see `brats-cascade data check`", file=sys.stderr)
    cases = [case for found in searched for case in found.cases]
    if scheme != "auto":
        cases = [replace(case, scheme=scheme) for case in cases]
    double = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
    if double:
        raise UserError(
            f"{min(double)}: found in two of the folders given; their files would overwrite each other: name one"
        )
    return cases
