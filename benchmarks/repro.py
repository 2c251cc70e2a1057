"""The time of each stage of `make repro` in a fresh clone; too long for `make bench`.

    python -m benchmarks.repro [--params FILE] [--keep FOLDER]

The clone is of the last commit. Arithmetic is measured by the stages themselves (`stages/cost.py`): the phases of training with
their validation rounds, CNN 1's maps, and the segmentation of cases.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import report

STAGE = re.compile(r"Running stage '([^']+)'")


def main() -> None:
    """Times the stages by the lines that DVC prints as they start."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, help="taken in place of params.yaml")
    parser.add_argument("--keep", type=Path, help="where the clone goes, to stay; a new folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clone = (given.keep or Path(name) / "clone").resolve()
        subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
        if given.params:
            shutil.copyfile(given.params, clone / "params.yaml")
        rows = _summary(_stages(clone, "--force"), clone=clone)
        again = sum(_stages(clone).values())
        rows.append({"stage": "again, nothing to do", "runs": 0, "seconds": round(again, 1), "share": ""})
    report("repro", rows=rows)


def _stages(clone: Path, *options: str) -> dict[str, float]:
    """Seconds of each stage, in the order in which they ran; DVC's own start is "(start)", its end in the last stage.

    `--force` among the options: a result that the machine's run cache holds already would take no time.
    """
    here = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone / "src"),
        "PYTHONUNBUFFERED": "1",
    }
    seconds: dict[str, float] = {}
    stage, since = "(start)", time.perf_counter()
    words = [str(here / "dvc"), "repro", *options]  # as `make repro` has it
    with subprocess.Popen(words, cwd=clone, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = STAGE.search(line)
            if found:
                seconds[stage], stage, since = time.perf_counter() - since, found[1], time.perf_counter()
        seconds[stage] = time.perf_counter() - since
    if process.returncode:
        raise SystemExit(f"dvc repro ended with {process.returncode}")
    return seconds


def _summary(seconds: dict[str, float], *, clone: Path) -> list[dict[str, Any]]:
    """One row per kind of stage, with its part in arithmetic, then the whole."""
    kinds: dict[str, list[tuple[float, float]]] = {}
    for stage, spent in seconds.items():
        note = clone / ".work/cost" / f"{stage.replace('@', '-')}.json"
        known = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
        kinds.setdefault(stage.split("@")[0], []).append((spent, known.get("arithmetic_seconds", 0.0)))
    whole = sum(seconds.values())
    kinds["everything"] = [pair for pairs in kinds.values() for pair in pairs]
    rows = []
    for kind, pairs in kinds.items():
        spent, arithmetic = (sum(part) for part in zip(*pairs, strict=True))
        row = {"stage": kind, "runs": len(pairs), "seconds": round(spent, 1), "share": round(spent / whole, 3)}
        rows.append({**row, "arithmetic, s": round(arithmetic, 1), "its share of all": round(arithmetic / whole, 3)})
    rows[-1]["to reach"] = "0.7 in arithmetic, or all under 240 s"
    return rows


if __name__ == "__main__":
    main()
