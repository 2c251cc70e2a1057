"""What a case would take in memory, by the headers of its files alone, and the limit on it."""

import math

from brats_cascade import MODALITIES
from brats_cascade.data.case import Case
from brats_cascade.data.images import read_header
from brats_cascade.errors import UserError

PER_VOXEL = 64  # bytes beside those of the files: measured up to 62, with N4 and a brain that fills the volume


def check_memory(case: Case, *, max_gb: float, with_truth: bool = True) -> None:
    """Refuses a case that would take more than so many gigabytes; of each file only the header is read.

    Raises:
        UserError: It would, or a header cannot be read.
    """
    axes = 4 if case.channels else 3
    scans = dict.fromkeys(case.images[modality] for modality in MODALITIES)
    headers = {path: read_header(path, axes=axes) for path in scans}
    if with_truth and case.truth is not None:
        headers[case.truth] = read_header(case.truth)
    shapes = {path: header.shape[:3] for path, (header, _) in headers.items()}
    path, shape = max(shapes.items(), key=lambda item: math.prod(item[1]))
    needed = max(size for _, size in headers.values()) + sum(header.memory for header, _ in headers.values())
    needed += PER_VOXEL * math.prod(shape)
    if needed > max_gb * 1e9:
        size = " x ".join(map(str, shape))
        raise UserError(
            f"{path}: its case would take about {needed / 1e9:.1f} GB of memory ({size} voxels), expected {max_gb:g} at most; "
            "resample it, or raise ingest.max_gb (--max-gb)"
        )
