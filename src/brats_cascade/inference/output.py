"""Writes predictions: every file on the case's own grid, atomically."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brats_cascade.data.case import Case
from brats_cascade.data.writeback import SIGNED, restore_labels, signature, write_segmentation
from brats_cascade.drawing.overlays import montage, overlay
from brats_cascade.inference.finished import code_for
from brats_cascade.inference.volumes import target
from brats_cascade.labels import LABELS
from brats_cascade.shared import written_whole

if TYPE_CHECKING:
    from brats_cascade.inference.predict import Prediction


def write_prediction(
    prediction: "Prediction", *, case: Case, out: Path, kinds: Sequence[str] = ("seg",), options: str = ""
) -> Path:
    """Writes `<case>_seg.nii.gz` and the other requested files, keys of KINDS.

    The segmentation is written last, so its existence implies the others. The folder is created if necessary; a code for the
    options and the scans goes into every file's signature. An OSError, from a full disk for example, names the file.

    Returns:
        The segmentation's path.
    """
    code = code_for(prediction.prepared.meta, case=case, options=options) if options else ""
    for kind in (*(kind for kind in ("probabilities", "uncertainty", "overlay", "montage") if kind in kinds), "seg"):
        path = target(case.name, kind=kind, out=out)
        with written_whole(path) as draft:
            _write(draft, prediction, kind=kind, case=case, options=code)
    return path


def _write(path: Path, prediction: "Prediction", *, kind: str, case: Case, options: str) -> None:
    """Writes one file of a prediction."""
    meta, labels = prediction.prepared.meta, prediction.labels
    if kind == "seg":
        misfits = [misfit.kind for misfit in prediction.misfits]
        write_segmentation(path, labels, case=case, meta=meta, options=options, misfits=misfits)
    elif kind == "probabilities":
        _write_maps(path, maps=prediction.probabilities, meta=meta, options=options)
    elif kind == "uncertainty":
        from brats_cascade.inference.segment import entropy  # imports Keras, which is not needed without maps

        _write_maps(path, maps=entropy(prediction.probabilities)[..., None], meta=meta, options=options)
    else:
        image, first, axis = prediction.prepared.image, meta["offset"][0], meta.get("axis", "axial")
        if kind == "overlay":
            figure = overlay(image, prediction=labels, title=case.name, first_slice=first, axis=axis)
        else:
            figure = montage(image, labels=labels, title=case.name, first_slice=first, axis=axis)
        figure.savefig(path, dpi=130, metadata={"Software": f"{SIGNED} {options}"})


def _write_maps(path: Path, *, maps: np.ndarray, meta: Mapping[str, Any], options: str) -> None:
    """float32 NIfTI (x, y, z, maps) on the case's own grid, or (x, y, z) for a single map."""
    import nibabel

    affine = np.array(meta["affine"])
    grids = [restore_labels(maps[..., place], meta) for place in range(maps.shape[-1])]
    whole = np.stack(grids, axis=-1) if len(grids) > 1 else np.array(grids[0])
    if len(grids) == len(LABELS):
        whole[..., 0] += whole.sum(axis=-1) == 0  # background is certain outside the brain's box
    whole = whole.astype(np.float32)
    image = nibabel.Nifti1Image(whole, affine)
    image.header["descrip"] = signature(whole, options=options)
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
