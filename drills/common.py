"""The input of a drill, its findings, and their record."""

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brats_cascade import provenance
from brats_cascade.shared import write_json
from drills import ROOT

RESULTS = ROOT / "docs/results/drills"
WORK = ROOT / ".work/drills"
SHOWN = 10  # faults that a record holds in words


@dataclass(frozen=True)
class Task:
    """One call of a drill.

    Args:
        folder: Its own, empty folder.
        seed: Seed for everything drawn at random.
        share: Share of the usual number of attempts.
    """

    folder: Path
    seed: int = 1
    share: float = 1.0

    def times(self, usual: int) -> int:
        """The number of attempts."""
        return max(1, round(usual * self.share))


@dataclass
class Findings:
    """Rows of a table, and descriptions of faults."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, row: dict[str, Any], *, tried: int, faults: list[str]) -> None:
        """Adds a row; its last columns are the numbers of attempts and faults."""
        self.rows.append({**row, "tried": tried, "faults": len(faults)})
        self.faults += [f"{next(iter(row.values()))}: {text}" for text in faults]


@dataclass(frozen=True)
class Drill:
    """A kind of fault.

    Args:
        title: Heading on the page.
        about: What is tried, and what counts as a fault.
        run: The function that tries it.
        namespace: A Linux namespace of its own, which needs root: mount or net; empty for none.
    """

    title: str
    about: str
    run: Callable[[Task], Findings]
    namespace: str = ""


def write_record(name: str, *, task: Task, found: Findings, seconds: float, not_run: str = "") -> None:
    """Writes docs/results/drills/NAME.json."""
    write_json(
        RESULTS / f"{name}.json",
        {
            "drill": name,
            "machine": provenance.machine(),
            "commit": provenance.git_commit(ROOT),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "seed": task.seed,
            "share": task.share,
            "seconds": round(seconds),
            **({"not_run": not_run} if not_run else {}),
            "rows": found.rows,
            "tried": sum(row["tried"] for row in found.rows),
            "faults": sum(row["faults"] for row in found.rows),
            "examples": found.faults[:SHOWN],
        },
    )


def read_record(name: str) -> dict[str, Any]:
    """A drill's record; empty if there is none."""
    path = RESULTS / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
