"""Ingest compared with decompressing the same files in the same number of processes; and drawing a million centres.

    python -m benchmarks.ingest [COHORT] [--workers 2] [--rounds 3]

Without COHORT the development scans are used (../shared/data/brats2018). Other cohorts should consist of .nii.gz files.
"""

import argparse
import gzip
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from benchmarks.common import report
from brats_cascade.data.cases import Case, find_cases
from brats_cascade.data.census import classes_of, count_voxels
from brats_cascade.data.ingest import ingest
from brats_cascade.data.patches import draw_patch_sets
from brats_cascade.params import Recipe


def main() -> None:
    """Alternates decompressing and ingesting, so that other load affects both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", nargs="?", type=Path, default=Path("../shared/data/brats2018"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    cases = find_cases(given.cohort)
    with tempfile.TemporaryDirectory() as folder:
        _compare(cases, scratch=Path(folder), workers=given.workers, rounds=given.rounds)


def _compare(cases: list[Case], *, scratch: Path, workers: int, rounds: int) -> None:
    files = [[*case.images.values(), *([case.truth] if case.truth else [])] for case in cases]
    wall: dict[str, list[float]] = {}
    processor: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for processes, clock, times in ((workers, time.perf_counter, wall), (1, time.process_time, processor)):
            root = scratch / f"store{number}_{processes}"
            places = {"root": root, "kept": root.with_name(f"{root.name}-kept"), "recipe": Recipe(clip=0.01)}
            works: dict[str, Callable[[], object]] = {
                "decompress with Python's zlib": partial(_decompress_all, files, library="zlib", workers=processes),
                "decompress with ISA-L": partial(_decompress_all, files, library="isal", workers=processes),
                "ingest": partial(ingest, cases, **places, workers=processes),
                "ingest again, nothing changed": partial(ingest, cases, **places, workers=processes),
            }
            for name, work in works.items():
                started = clock()
                work()
                if number:  # the first round starts the processes and fills the caches
                    times.setdefault(name, []).append(clock() - started)
            if number:
                shutil.rmtree(root)
    started = time.perf_counter()
    stored = [scratch / f"store0_{workers}" / case.name for case in cases]
    draw_patch_sets(stored, census=count_voxels(stored, classes=classes_of(stored)), phase1=1_000_000, seed=1)
    drawing = time.perf_counter() - started
    rows: list[dict[str, Any]] = []
    for name in wall:
        row: dict[str, Any] = {"what": name}
        for kind, times in (("seconds", wall), ("CPU seconds of one process", processor)):
            row[kind] = round(min(times[name]), 2)
            row[f"ratio of {kind}"] = round(min(times[name]) / min(times["decompress with Python's zlib"]), 2)
        rows.append({**row, "to reach": "ratio 1.6" if name == "ingest" else ""})
    rows.append({"what": "draw a million centres", "seconds": round(drawing, 2), "to reach": "20 s"})
    report("ingest", rows=[{"cases": len(cases), "processes": workers, **row} for row in rows])


def _decompress_all(files: list[list[Path]], *, library: str, workers: int) -> None:
    Parallel(n_jobs=workers, batch_size=1)(delayed(_decompress)(paths, library=library) for paths in files)


def _decompress(paths: list[Path], *, library: str) -> None:
    for path in paths:
        data = path.read_bytes()
        if path.name.endswith(".gz"):
            if library == "isal":
                from isal import igzip as chosen
            else:
                chosen = gzip
            chosen.decompress(data)


if __name__ == "__main__":
    main()
