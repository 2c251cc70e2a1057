"""Growth of the cost with the number of cases and processes: ingest, patches and prediction of 1 to 14 real cases."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import report
from brats_cascade import MODALITIES
from brats_cascade.backend import start_backend
from brats_cascade.data.cases import Case, find_cases
from brats_cascade.data.census import classes_of, count_voxels
from brats_cascade.data.ingest import ingest
from brats_cascade.data.patches import draw_patch_sets
from brats_cascade.params import Recipe
from brats_cascade.provenance import peak_memory_mb

SOURCE = Path("../shared/data/brats2018")
COUNTS = (1, 2, 4, 8, 14)


def main() -> None:
    """Reports the peak memory of this process so far; other processes are not included."""
    if not SOURCE.is_dir():
        print(f"{SOURCE}: not there; this benchmark needs real cases and is left out")
        return
    cases = find_cases(SOURCE)
    counts = [count for count in COUNTS if count <= len(cases)]
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        rows = _data(cases, counts=counts, scratch=scratch) + _prediction(cases, counts=counts, scratch=scratch)
    report("growth", rows=rows)


def _row(work: str, *, cases: int, seconds: float, processes: int = 1) -> dict[str, Any]:
    row: dict[str, Any] = {"work": work, "processes": processes, "cases": cases, "seconds": round(seconds, 2)}
    row["seconds a case"] = round(seconds / cases, 3)
    row["peak MB so far"] = round(peak_memory_mb()) if processes == 1 else ""
    return row


def _data(cases: list[Case], *, counts: list[int], scratch: Path) -> list[dict[str, Any]]:
    rows = []
    for processes in (1, 2):
        for count in counts:
            root = scratch / f"store-{processes}-{count}"
            places = {"root": root, "kept": root.with_name(f"{root.name}-kept"), "recipe": Recipe(clip=0.01)}
            seconds = _seconds(partial(ingest, cases[:count], **places, workers=processes))
            rows.append(_row("ingest", cases=count, seconds=seconds, processes=processes))
    for count in counts:
        stored = [scratch / f"store-1-{count}" / case.name for case in cases[:count]]
        rows.append(_row("draw 200,000 centres", cases=count, seconds=_seconds(partial(_draw, stored))))
    return rows


def _draw(stored: list[Path]) -> None:
    census = count_voxels(stored, classes=classes_of(stored))
    draw_patch_sets(stored, census=census, phase1=100_000, phase2=100_000, seed=1)


def _prediction(cases: list[Case], *, counts: list[int], scratch: Path) -> list[dict[str, Any]]:
    """TwoPathCNN of an eighth of the width, untrained, so that reading and writing count too; start-up included."""
    start_backend()
    from brats_cascade.commands.options import PredictOptions
    from brats_cascade.commands.predict import run
    from brats_cascade.models.build import build_model
    from brats_cascade.models.files import Contract, save_trained
    from brats_cascade.models.two_path import Style

    style = Style(width=0.125)
    contract = Contract("two_path", (0, 1, 2, 4), MODALITIES, 0.01, style, None)
    model = scratch / "model"
    save_trained(model, network=build_model("two_path", classes=4, style=style), contract=contract)
    rows = []
    for processes, some in ((1, counts), (2, counts[-1:])):
        for count in some:
            folders = [case.images["flair"].parent for case in cases[:count]]
            out = scratch / f"out-{processes}-{count}"
            options = PredictOptions(out=out, model=[str(model)], workers=processes)
            seconds = _seconds(partial(run, folders, options))
            rows.append(_row("predict", cases=count, seconds=seconds, processes=processes))
    return rows


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
