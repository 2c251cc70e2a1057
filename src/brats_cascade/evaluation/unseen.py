"""Everything computed for one test case of the volume store: scores, per-slice table, and the slice to draw."""

import gzip
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pandas as pd

from brats_cascade.data.preprocess import uncrop
from brats_cascade.data.store import StoredCase
from brats_cascade.data.writeback import restore_labels
from brats_cascade.drawing.overlays import best_slice, overlay
from brats_cascade.evaluation.lesions import score_lesions
from brats_cascade.evaluation.regions import score_case
from brats_cascade.evaluation.slices import EARLIER_WORK_COLUMN, earlier_work_score, slice_table
from brats_cascade.inference.postprocess import Thresholds
from brats_cascade.inference.segment import labels_of
from brats_cascade.inference.volumes import keep_volumes, region_volumes
from brats_cascade.labels import LABELS, SCHEMES, as_classes, recode
from brats_cascade.shared import written_whole


def keep_segmentation(folder: Path, *, labels: np.ndarray, meta: Mapping[str, Any]) -> Path:
    """Writes <case>_seg.nii.gz (uint8, on the scans' grid, with the release's values) and its row of volumes.csv.

    It needs only the volume store; equal labels give equal bytes.
    """
    name, affine = str(meta["case"]), np.array(meta["affine"])
    voxels = recode(restore_labels(labels, meta), table=SCHEMES[meta["scheme"]].from_canonical).astype(np.uint8)
    image = nibabel.Nifti1Image(voxels, affine)
    image.set_qform(affine, code="scanner")
    image.set_sform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    image.header.set_intent("label", name=meta["scheme"])
    path = folder / f"{name}_seg.nii.gz"
    with written_whole(path) as draft:
        draft.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))
    volumes = region_volumes(labels, voxel_mm3=math.prod(meta["spacing"]), scheme=meta["scheme"])
    keep_volumes(folder, rows=[{"case": name, **volumes}])
    return path


if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Unseen:
    """One scored case, without its volumes."""

    row: dict[str, Any]  # case, patient, grade, release, and the scores of the whole volume, including lesion-wise ones
    bare: dict[str, Any]  # the same without post-processing and lesion-wise scores
    slices: pd.DataFrame  # the slice table, with slice numbers of the whole volume and the earlier work's score
    drawn: int  # index of the slice with the largest tumour, in the stored box
    outline: np.ndarray  # the prediction on that slice

    def draw(self, case: StoredCase, *, title: str) -> "Figure":
        """The overlay of ground truth and prediction; `case` is the case that was scored."""
        here = slice(self.drawn, self.drawn + 1)
        assert case.labels is not None
        return overlay(
            np.asarray(case.image[here]),
            truth=np.asarray(case.labels[here]),
            prediction=self.outline[None],
            first_slice=case.meta["offset"][0] + self.drawn,
            axis=case.meta.get("axis", "axial"),
            title=title,
        )


def score_unseen(
    case: StoredCase,
    *,
    labels: np.ndarray,
    probabilities: np.ndarray,
    thresholds: Thresholds,
    folder: Path | None = None,
    classes: Sequence[int] = tuple(LABELS),
) -> Unseen:
    """Scores a segmented case with ground truth.

    Specificity and the earlier work's score count every voxel of the whole volume, including air. Ground truth outside the box
    counts as missed in Dice, sensitivity and the true volume.

    Args:
        case: A case with ground truth.
        labels: The network's canonical labels, uint8 (slices, rows, columns) of the stored box.
        probabilities: float32 (slices, rows, columns, 5).
        thresholds: The post-processing.
        folder: Folder for the segmentation file, or None.
        classes: The canonical labels that the network distinguishes; only the earlier work's score needs them.
    """
    assert case.labels is not None
    truth, spacing = np.asarray(case.labels), case.meta["spacing"]
    cleaned = labels_of(probabilities, brain=np.asarray(case.brain), spacing=spacing, thresholds=thresholds)
    if folder is not None:
        keep_segmentation(folder, labels=cleaned, meta=case.meta)
    facts = {"case": case.name, **{key: case.meta[key] for key in ("patient", "grade", "release")}}
    box = {"offset": case.meta["offset"], "shape": case.meta["shape"]}
    whole = uncrop(truth, **box)
    scores = score_case(whole, uncrop(cleaned, **box), spacing=spacing, outside=case.outside)
    same = np.array_equal(labels, cleaned)
    bare = scores if same else score_case(whole, uncrop(labels, **box), spacing=spacing, outside=case.outside)
    lesions = score_lesions(whole, uncrop(cleaned, **box), spacing=spacing)
    slices = slice_table(truth, cleaned, first_slice=case.meta["offset"][0])
    slices.insert(0, "case", case.name)
    air = int(np.prod(case.meta["shape"][1:]) - truth[0].size)
    slices[EARLIER_WORK_COLUMN] = [
        earlier_work_score(*pair, air=air)
        for pair in zip(as_classes(truth, classes=classes), probabilities, strict=True)
    ]
    drawn = best_slice(truth, cleaned, slices=len(truth))
    return Unseen({**facts, **scores, **lesions}, {**facts, **bare}, slices, drawn, cleaned[drawn].copy())
