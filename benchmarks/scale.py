"""The cost of 1,000, 10,000 and 100,000 cases apart from voxels: tables, lists, pages, DVC, MLflow.

    python -m benchmarks.scale

The tables are synthetic, with one row per case; no scan is read. Seconds are CPU seconds. Writes
docs/results/speed/scale.json and the figures of docs/scale.md (`benchmarks.scale_page`).
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.common import report
from benchmarks.scale_page import write_page
from brats_cascade import MODALITIES
from brats_cascade.provenance import peak_memory_mb

COUNTS = (1_000, 10_000, 100_000)
FILES = (1_000, 5_000)  # cases whose files are made for real, five of scans or four of the store each
LOGGED = (10, 100)  # test cases whose slices are logged
SLICES = 155
Row = dict[str, Any]


def main() -> None:
    """One fresh process per number and part, so that each has a peak of its own."""
    rows: list[Row] = []
    for part, counts in (
        ("tables", COUNTS),
        ("search", FILES),
        ("dvc", FILES),
        ("mlflow", LOGGED),
        ("opened", FILES[:1]),
    ):
        for count in counts:
            words = [sys.executable, "-m", "benchmarks.scale", part, str(count)]
            done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
            rows += json.loads(done.stdout.splitlines()[-1])
    report("scale", rows=rows)
    write_page()


def measure(part: str, count: int) -> list[Row]:
    """The rows of one part for so many cases, in a folder that is removed afterwards."""
    parts = {"tables": tables, "search": search_folder, "dvc": dvc, "mlflow": mlflow, "opened": opened}
    with tempfile.TemporaryDirectory() as folder:
        return parts[part](count, Path(folder))


def synthetic_table(count: int) -> pd.DataFrame:
    """A per-case table as ingest writes it, of cases without fault."""
    from brats_cascade.data.facts import STATISTICS, table

    sizes = {"slices": SLICES, "rows": 240, "columns": 240, "volumes": 5, "tumour_cm3": 80.0, "tumour_outside_brain": 0}
    same: Row = {"release": "brats2021", "scheme": "merged", "folder": "/cohort", "modalities": ",".join(MODALITIES)}
    same |= {"has_truth": True, "same_grid": True, "finite": True, "brain_fraction": 0.16, "labels": "0,1,2,4", **sizes}
    same |= dict.fromkeys(("spacing_slice", "spacing_row", "spacing_column"), 1.0)
    same |= {f"{part}_{name}": float(place) for part in MODALITIES for place, name in enumerate(STATISTICS)}
    same |= {f"label_{label}": 1000 for label in range(5)} | {"stored": True, "problem": ""}
    names = (f"BraTS2021_{number:06}" for number in range(count))
    rows = (
        {**same, "case": name, "patient": name, "grade": "high", "voxels_hash": f"hash of {name}"} for name in names
    )
    return table(rows)


def tables(count: int, folder: Path) -> list[Row]:
    """A listing, the per-case table, the gate with its pages, splits, and one more row of volumes.csv."""
    from brats_cascade.data.checks import judge_cases
    from brats_cascade.data.listing import read_listing
    from brats_cascade.data.split import check_no_leak, fold_split, split_patients
    from brats_cascade.inference.volumes import COLUMNS, keep_volumes

    cases = synthetic_table(count)
    (folder / "scan.nii.gz").write_bytes(b"")
    scans = ",".join(["scan.nii.gz"] * 4)
    lines = ["case,labels,flair,t1,t1c,t2", *(f"{name},merged,{scans}" for name in cases["case"])]
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    rows = [_timed("read a listing (cases.csv)", count, lambda: read_listing(folder / "cases.csv"))]
    place = folder / "cases.parquet"
    rows.append(_timed("write cases.parquet", count, lambda: cases.to_parquet(place, index=False), size=place))
    rows.append(_timed("read cases.parquet", count, lambda: pd.read_parquet(place)))
    drawn = split_patients(cases, validation=count // 10, test=count // 5, seed=1)
    rows.append(
        _timed("split: a draw", count, lambda: split_patients(cases, validation=count // 10, test=count // 5, seed=1))
    )
    rows.append(
        _timed("split: fold 0 of 5", count, lambda: fold_split(cases, folds=5, fold=0, validation=count // 10, seed=1))
    )
    rows.append(_timed("split: check for leaks", count, lambda: check_no_leak(drawn, cases)))
    (folder / "splits.json").write_text(json.dumps(drawn.as_dict(), indent=2))
    rows[-1]["MB on disk"] = _size(folder / "splits.json")
    volumes = [{**dict.fromkeys(COLUMNS, "12.345"), "case": name} for name in cases["case"]]
    keep_volumes(folder, rows=volumes)
    more = [{**volumes[0], "case": "one more"}]
    rows.append(
        _timed(
            "predict: one more row of volumes.csv",
            count,
            lambda: keep_volumes(folder, rows=more),
            size=folder / "volumes.csv",
        )
    )
    docs = folder / "docs"
    rows.append(_timed("validate: rules and pages", count, lambda: judge_cases(cases, docs=docs), size=docs))
    return rows


def search_folder(count: int, folder: Path) -> list[Row]:
    """Finding cases by the names of their files, which are empty."""
    from brats_cascade.data.cases import find_cases

    for number in range(count):
        case = folder / f"BraTS2021_{number:06}"
        case.mkdir()
        for part in ("flair", "t1", "t1ce", "t2", "seg"):
            (case / f"{case.name}_{part}.nii.gz").touch()
    return [_timed("search a folder", count, lambda: find_cases(folder))]


def dvc(count: int, folder: Path) -> list[Row]:
    """DVC on a store of four small files per case: what it costs beside hashing the bytes."""
    for number in range(count):
        case = folder / "store" / f"case-{number:06}"
        case.mkdir(parents=True)
        for part in ("image", "brain", "labels", "meta"):
            (case / part).write_text(f"{part} of {case.name}")

    def run(*words: str) -> Callable[[], object]:
        quiet = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return lambda: subprocess.run([sys.executable, "-m", "dvc", *words], **quiet)

    run("init", "--no-scm")()
    run("remote", "add", "--default", "storage", str(folder / "remote"))()
    steps = {"dvc add": ("add", "store"), "dvc status, nothing changed": ("status",), "dvc push to a folder": ("push",)}
    rows = [_timed(f"{name} (4 files per case)", count, run(*words)) for name, words in steps.items()]
    return [{**row, "peak MB": ""} for row in rows]  # another process's


def mlflow(count: int, folder: Path) -> list[Row]:
    """The slices of test cases in MLflow on SQLite, four scores per slice."""
    from brats_cascade import tracking

    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ["BRATS_CASCADE_LOGGING_SECONDS"] = "3600"
    scores = ("complete_f1", "core_f1", "enhancing_f1", "earlier_work_pixel_agreement")
    cases = (f"BraTS2021_{number:06}" for number in range(count))
    slices = pd.DataFrame(
        [{"case": case, "slice": place, **dict.fromkeys(scores, 0.5)} for case in cases for place in range(SLICES)]
    )
    with tracking.start_run("scale", root=folder, finish=True) as run:
        row = _timed("MLflow: per-slice curves of test cases", count, lambda: run.log_slices(slices))
        assert run.online
    return [{**row, "MB on disk": _size(folder / "mlflow.db")}]


def opened(count: int, folder: Path) -> list[Row]:
    """Cases open for training, and the files and memory maps that they hold."""
    import numpy as np

    from brats_cascade.backend import start_backend
    from brats_cascade.data.store import open_case, write_case

    start_backend()  # which raises the limit on open files
    arrays = {"image": np.zeros((9, 9, 9, 4)), "brain": np.ones((9, 9, 9)), "labels": np.ones((9, 9, 9))}
    write_case(folder, name="case", meta={"facts": {}}, **arrays)
    kept: list[Any] = []
    before = _held()
    row = _timed(
        "open cases for training", count, lambda: kept.extend(open_case(folder / "case") for _ in range(count))
    )
    files, maps = ((after - first) / count for after, first in zip(_held(), before, strict=True))
    return [{**row, "open files per case": round(files), "memory maps per case": round(maps)}]


def _held() -> tuple[int, int]:
    return len(os.listdir("/proc/self/fd")), Path("/proc/self/maps").read_text().count("\n")  # noqa: PTH208


def _timed(work: str, cases: int, call: Callable[[], object], *, size: Path | None = None) -> Row:
    started = _processor_seconds()
    call()
    row: Row = {"work": work, "cases": cases, "CPU seconds": float(f"{_processor_seconds() - started:.3g}")}
    return {**row, "peak MB": round(peak_memory_mb()), "MB on disk": "" if size is None else _size(size)}


def _processor_seconds() -> float:
    """Of this process and its children; a busy machine does not change them much."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _size(path: Path) -> float:
    files = [part for part in (path, *path.rglob("*")) if part.is_file()]
    return float(f"{sum(part.stat().st_size for part in files) / 1e6:.3g}")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
