"""The time of the command line, of importing the package, and of a pipeline with nothing to do."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.common import report


def _seconds(*words: str) -> float:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return round(min(times), 2)


def main() -> None:
    """Fastest of three; `dvc repro` counts only after one that left nothing to do."""
    here = Path(sys.executable).parent
    rows = [
        {"what": "brats-cascade --help", "seconds": _seconds(str(here / "brats-cascade"), "--help"), "to reach": 1.0},
        {
            "what": "import brats_cascade",
            "seconds": _seconds(sys.executable, "-c", "import brats_cascade"),
            "to reach": 0.3,
        },
    ]
    status = subprocess.run([str(here / "dvc"), "status"], capture_output=True, text=True, check=True).stdout
    nothing = "up to date" in status
    rows.append(
        {
            "what": "dvc repro, nothing to do"
            if nothing
            else "dvc repro, nothing to do: the pipeline was not up to date",
            "seconds": _seconds(str(here / "dvc"), "repro") if nothing else "",
            "to reach": 5.0,
        }
    )
    report("start", rows=rows)


if __name__ == "__main__":
    main()
