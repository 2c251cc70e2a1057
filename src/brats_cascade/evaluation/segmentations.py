"""The test patients' segmentations as files, from the volume store alone: the scans need not be there any more."""

import gzip
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.data.writeback import restore_labels
from brats_cascade.inference.volumes import keep_volumes, region_volumes
from brats_cascade.labels import SCHEMES, recode


def keep_segmentation(folder: Path, *, labels: np.ndarray, meta: Mapping[str, Any]) -> Path:
    """Writes one case's segmentation and its row of volumes.csv; equal labels give equal bytes.

    Args:
        folder: Made if it is not there.
        labels: Canonical labels of the stored box, uint8 (slices, rows, columns).
        meta: The case's in the store.

    Returns:
        <case>_seg.nii.gz: uint8, on the grid of the case's scans, in the label numbers of its release.
    """
    import nibabel

    folder.mkdir(parents=True, exist_ok=True)
    name, affine = str(meta["case"]), np.array(meta["affine"])
    voxels = recode(restore_labels(labels, meta), table=SCHEMES[meta["scheme"]].from_canonical).astype(np.uint8)
    image = nibabel.Nifti1Image(voxels, affine)
    image.set_qform(affine, code="scanner")
    image.set_sform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    image.header.set_intent("label", name=meta["scheme"])
    path = folder / f"{name}_seg.nii.gz"
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))
    volumes = region_volumes(labels, voxel_mm3=math.prod(meta["spacing"]), scheme=meta["scheme"])
    keep_volumes(folder, rows=[{"case": name, **volumes}])
    return path
