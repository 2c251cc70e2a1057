"""Writing a prediction: every file in the case's own geometry, whole or not there at all."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from brats_cascade.data.case import Case
from brats_cascade.data.writeback import SIGNED, restore_labels, signature, write_segmentation
from brats_cascade.drawing.overlays import montage, overlay
from brats_cascade.errors import UserError
from brats_cascade.inference.kinds import target
from brats_cascade.inference.predict import Prediction
from brats_cascade.inference.segment import entropy
from brats_cascade.labels import LABELS
from brats_cascade.shared import written_whole


class WriteError(UserError):
    """Nothing can be written: the next case would fail the same way."""


def open_folder(out: Path) -> None:
    """Makes the output folder and tries it, before hours of work.

    Raises:
        WriteError: It cannot be made or written to.
    """
    probe = out / f".{os.getpid()}_probe"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise WriteError(
            f"{out}: expected a folder that can be written to, found: {error.strerror}; choose another --out"
        ) from None


def write_prediction(
    prediction: Prediction, *, case: Case, out: Path, kinds: Sequence[str] = ("seg",), options: str = ""
) -> Path:
    """Writes `<case>_seg.nii.gz` and what else is asked for; the segmentation comes last, so it stands for all.

    Args:
        prediction: From `predict_case`.
        case: The case.
        out: Folder, made if it is not there.
        kinds: Keys of KINDS.
        options: As in `writeback.signature`, for every file.

    Returns:
        The segmentation's path.

    Raises:
        WriteError: The folder cannot be written to, or the disk is full.
    """
    writers: dict[str, Callable[[Path], None]] = {
        "probabilities": lambda path: _write_maps(
            path, maps=prediction.probabilities, prediction=prediction, options=options
        ),
        "uncertainty": lambda path: _write_maps(
            path, maps=entropy(prediction.probabilities)[..., None], prediction=prediction, options=options
        ),
        "overlay": lambda path: _draw(path, kind="overlay", prediction=prediction, title=case.name, options=options),
        "montage": lambda path: _draw(path, kind="montage", prediction=prediction, title=case.name, options=options),
        "seg": lambda path: write_segmentation(
            path,
            prediction.labels,
            case=case,
            meta=prediction.prepared.meta,
            options=options,
            misfits=[misfit.kind for misfit in prediction.misfits],
        ),
    }
    open_folder(out)
    for kind, write in writers.items():
        if kind in kinds or kind == "seg":
            _whole(target(case.name, kind=kind, out=out), write=write)
    return target(case.name, kind="seg", out=out)


def _whole(path: Path, *, write: Callable[[Path], None]) -> None:
    """Writes beside the path and moves it there."""
    try:
        with written_whole(path) as draft:
            write(draft)
    except OSError as error:
        raise WriteError(
            f"{path}: cannot be written ({error.strerror or error}); choose another --out or free some space, then run "
            "the same command again: finished cases stay"
        ) from None


def _write_maps(path: Path, *, maps: np.ndarray, prediction: Prediction, options: str) -> None:
    """float32 NIfTI (x, y, z, maps) on the case's own grid, or (x, y, z) for a single map."""
    import nibabel

    meta = prediction.prepared.meta
    affine = np.array(meta["affine"])
    grids = [restore_labels(maps[..., place], meta) for place in range(maps.shape[-1])]
    whole = np.stack(grids, axis=-1) if len(grids) > 1 else np.array(grids[0])
    if len(grids) == len(LABELS):
        whole[..., 0] += whole.sum(axis=-1) == 0  # outside the brain's box everything else is certain
    whole = whole.astype(np.float32)
    image = nibabel.Nifti1Image(whole, affine)
    image.header["descrip"] = signature(whole, options=options)
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def _draw(path: Path, *, kind: str, prediction: Prediction, title: str, options: str) -> None:
    meta = prediction.prepared.meta
    place = {"first_slice": meta["offset"][0], "axis": meta.get("axis", "axial")}
    image, labels = prediction.prepared.image, prediction.labels
    if kind == "overlay":
        figure = overlay(image, prediction=labels, title=title, **place)
    else:
        figure = montage(image, labels=labels, title=title, **place)
    figure.savefig(path, dpi=130, metadata={"Software": f"{SIGNED} {options}"})
