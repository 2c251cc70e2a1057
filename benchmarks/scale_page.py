"""Writes the figures of docs/scale.md, from the records of the benchmarks that measured them.

    python -m benchmarks.scale_page

`make bench` and `python -m benchmarks.scale` call this, too.
"""

import json
import math
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from brats_cascade.report.render import put_between

COUNTS = (1_000, 10_000, 100_000)
SOURCES = ("scale", "growth", "case", "training", "ingest_memory")
PAGE = Path("docs/scale.md")
N4_SECONDS = 17  # docs/data.md
STORE_GB = 0.059  # the mean of 24 real cases
TILES, TILE = 20, 64  # of a case that is seen once
Row = dict[str, Any]


def write_page(page: Path = PAGE) -> None:
    """Puts the figures between the marks of the page."""
    records = {name: json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in SOURCES}
    for part, text in page_parts(records).items():
        put_between(page, part=part, text=text)


def page_parts(records: dict[str, Row]) -> dict[str, str]:
    """Part of the page -> its text."""
    from benchmarks.__main__ import measured, table

    rows = {name: record["rows"] for name, record in records.items()}
    sources = [
        {"benchmark": f"`{name}`", "measured on": record["machine"], "commit": record["commit"][:7]}
        for name, record in records.items()
    ]
    return {
        "tables": "\n".join([measured(records["scale"]), "", *table(rows["scale"])]),
        "cohorts": "\n".join(table(cohorts(rows))),
        "memory": "\n".join(memory(rows)),
        "sources": "\n".join(table(sources)),
    }


def cohorts(records: dict[str, list[Row]]) -> list[Row]:
    """Cost of whole cohorts: seconds per case times the number of cases, and the source of the seconds."""

    def per_case(work: str) -> float:
        return float(_growth(records, work=work)[-1]["seconds a case"])

    cases = _growth(records, work="ingest")[-1]["cases"]
    (network,) = (row["seconds"] for row in records["case"] if row["precision"] == "bfloat16")
    tiles = {"precision": "bfloat16", "sampler": "tiles", "labelled pixels a side": TILE, "XLA": "no"}
    (rate,) = (row["labelled pixels per second"] for row in records["training"] if tiles.items() <= row.items())
    costs = {
        "ingest": (per_case("ingest"), f"`growth`, {cases} cases"),
        "ingest with N4": (N4_SECONDS + per_case("ingest"), f"`growth`, and {N4_SECONDS} s per case for N4 (docs/data.md)"),
        "drawing patches": (per_case("draw 200,000 centres"), f"`growth`, {cases} cases"),
        "training TwoPathCNN, every case seen once": (
            TILES * TILE**2 / rate,
            f"`training`, bfloat16: {rate:,} labelled pixels per second, {TILES} tiles of {TILE}x{TILE} per case",
        ),
        "prediction, InputCascadeCNN in bfloat16": (network, "`case`, file to file"),
    }  # fmt: skip
    found = [
        {
            "work": work,
            "s per case": round(cost, 3),
            **{f"{n:,} cases": _span(cost * n) for n in COUNTS},
            "from": source,
        }
        for work, (cost, source) in costs.items()
    ]
    store = {f"{n:,} cases": f"{STORE_GB * n:,.0f} GB" for n in COUNTS}
    of = f"{1000 * STORE_GB:.0f} MB per case, mean of 24 real cases (53 to 67 MB; 9.2 MB of scans)"
    return [*found, {"work": "store, data/volumes", **store, "from": of}]


def memory(records: dict[str, list[Row]]) -> list[str]:
    """Peak memory, which does not grow with the number of cases."""
    ingest = [row for row in records["ingest_memory"] if row["processes"] == 1]
    last, predicted = ingest[-1], _growth(records, work="predict")
    first, most = predicted[0], predicted[-1]
    return [
        f"- Ingest: constant. The peak with {last['cases']} cases is {last['ratio to 10 cases']:g} times that with 10 "
        "(`ingest_memory`).",
        f"- Prediction: one process goes from {first['peak MB so far']:,} MB with {first['cases']} case to "
        f"{most['peak MB so far']:,} MB with {most['cases']} of different sizes (`growth`). It holds one case at a time.",
    ]


def _growth(records: dict[str, list[Row]], *, work: str) -> list[Row]:
    """The rows of a kind of work in one process, by the number of cases."""
    return [row for row in records["growth"] if row["work"] == work and row["processes"] == 1]


def _span(seconds: float) -> str:
    unit, size = next(
        pair
        for pair in (("days", 86400), ("h", 3600), ("min", 60), ("s", 1))
        if seconds >= 1.5 * pair[1] or pair[1] == 1
    )
    digits = max(0, 1 - math.floor(math.log10(seconds / size)))
    return f"{seconds / size:.{digits}f} {unit}"


if __name__ == "__main__":
    write_page()
