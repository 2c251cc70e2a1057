"""Peak memory of an ingest of 10, 30 and 100 cases of equal size, which must not grow with their number.

    python -m benchmarks.ingest_memory

The volumes are random, with 128x128x96 voxels, the same in every case (the files are links to one case's).
"""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import report

COUNTS = (10, 30, 100)
PARTS = ("flair", "t1", "t1ce", "t2", "seg")


def main() -> None:
    """Runs a fresh process per cohort, so that each has its own peak."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        scans = _write_scans(Path(folder) / "scans")
        for count in COUNTS:
            cohort = Path(folder) / f"cohort{count}"
            _link(scans, cohort=cohort, count=count)
            for workers in (1, 2):
                store = Path(folder) / f"store{count}_{workers}"
                words = [sys.executable, "-m", "benchmarks.ingest_memory", str(cohort), str(store), str(workers)]
                done = subprocess.run(words, check=True, capture_output=True, text=True)
                rows.append({"cases": count, "processes": workers, **json.loads(done.stdout)})
    for row in rows:
        first = next(other for other in rows if other["processes"] == row["processes"])
        row["ratio to 10 cases"] = round(row["peak MB of one process"] / first["peak MB of one process"], 3)
    report("ingest_memory", rows=rows)


def measure(cohort: Path, store: Path, workers: int) -> dict[str, float]:
    """Ingests in this process (1 worker) or its children, and tells the largest peak of any of them."""
    from joblib.externals.loky import get_reusable_executor

    from brats_cascade.data.cases import find_cases
    from brats_cascade.data.ingest import ingest
    from brats_cascade.params import Recipe

    table = ingest(
        find_cases(cohort),
        root=store,
        kept=store.with_name(f"{store.name}-kept"),
        recipe=Recipe(clip=0.01),
        workers=workers,
    )
    assert table["stored"].all()
    if workers > 1:
        get_reusable_executor().shutdown(wait=True)  # only processes that have ended are counted
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {"peak MB of one process": round(max(peaks) / 1024, 1)}


def _write_scans(folder: Path) -> Path:
    import nibabel

    rng = np.random.default_rng(0)
    folder.mkdir()
    shape = (128, 128, 96)
    grid = np.indices(shape)
    centre = (np.array(shape).reshape(3, 1, 1, 1) - 1) / 2
    brain = (((grid - centre) / (centre - 8)) ** 2).sum(axis=0) <= 1
    for part in PARTS:
        values = rng.integers(1, 3 if part == "seg" else 900, size=shape)
        voxels = np.where(brain & (grid[0] > 90 if part == "seg" else True), values, 0).astype("int16")
        nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(folder / f"{part}.nii.gz")
    return folder


def _link(scans: Path, *, cohort: Path, count: int) -> None:
    for number in range(count):
        case = cohort / f"Brats18_{number:03}_1"
        case.mkdir(parents=True)
        for part in PARTS:
            (case / f"{case.name}_{part}.nii.gz").symlink_to(scans / f"{part}.nii.gz")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        main()
