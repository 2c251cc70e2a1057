"""Runs the named benchmarks, or all, and rewrites docs/results/speed.md, README's speed block and docs/scale.md's figures.

`--page` only rewrites the pages.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from benchmarks.scale_page import write_page
from brats_cascade.report.render import put_between

ALL = (
    "output_layer",
    "inference",
    "layers",
    "case",
    "coarse",
    "training",
    "step",
    "sizes",
    "ingest",
    "growth",
    "start",
)
PAGE, README = Path("docs/results/speed.md"), Path("README.md")
# Benchmark -> the row that README shows.
SHOWN = {
    "case": {"precision": "bfloat16"},
    "inference": {"network": "input_cascade", "precision": "bfloat16"},
    "training": {"precision": "bfloat16", "labelled pixels a side": 64, "XLA": "no"},
}
# Parts of gpu.json in the order of the page, with their headings.
GPU = {
    "goals": "Goals and results on an H200",
    "sweep": "A sweep by workers that share the GPU, killed once and resumed",
    "case": "One case (device: network passes only, with the inputs on the GPU)",
    "step": "A training step with tiles (R in the same precision; float32 with TF32 products)",
    "kernels": "The slowest kernels in five steps of TwoPathCNN in bfloat16",
    "layer": "The 21x21 output layer",
    "rate": "R, the GPU's peak rate",
    "losses": "Losses of the same training on the GPU and on the CPU",
    "problems": "Not measured",
}


def main() -> None:
    """Runs each benchmark in a separate process, so that they share neither memory nor threads."""
    named = [name for name in sys.argv[1:] if name != "--page"]
    if unknown := [name for name in named if name not in ALL]:
        sys.exit(f"error: no benchmark is called {', '.join(unknown)}; known: {', '.join(ALL)}")
    for name in named if "--page" in sys.argv else named or ALL:
        print(f"\n{name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
    PAGE.write_text("\n".join(page()) + "\n", encoding="utf-8")
    put_between(README, part="speed", text=in_words())
    write_page()
    print(f"\n{PAGE}")


def page() -> list[str]:
    """The lines of the page: one table per result file."""
    lines = [
        "# Speed",
        "",
        "Written by `make bench`. Ratios are measured in one process; R is the rate of that process for a",
        "",
    ]
    lines[-2] += " matrix product of the same precision."
    for path in sorted(RESULTS.glob("*.json")):
        if path.stem != "gpu":
            record = json.loads(path.read_text(encoding="utf-8"))
            lines += [f"## {record['benchmark']}", "", measured(record), "", *table(record["rows"]), ""]
    return lines + gpu()


def gpu() -> list[str]:
    """The lines with the GPU tables, or a note that nothing was measured."""
    path, lines = RESULTS / "gpu.json", ["## On a data-centre GPU", ""]
    if not path.is_file():
        wait = "Not measured yet, because no GPU was available. `python -m benchmarks.gpu --out FOLDER` measures this"
        return [*lines, f"{wait} ([profiling](../profiling.md#on-a-gpu))."]
    record = json.loads(path.read_text(encoding="utf-8"))
    lines.append(measured(record))
    for part, title in GPU.items():
        rows = [{key: row[key] for key in row if key != "part"} for row in record["rows"] if row["part"] == part]
        if part == "sweep":
            rows = [{"what": key, "value": value} for row in rows for key, value in row.items()]
        lines += ["", f"### {title}", "", *table(rows)] if rows else []
    return lines


def measured(record: dict[str, Any]) -> str:
    """The command, machine and commit of a measurement."""
    return f"`{record['command']}` on {record['machine']}, commit {record['commit']}."


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as Markdown; a row need not have every column."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    return lines + ["| " + " | ".join(str(row.get(name, "")) for name in names) + " |" for row in rows]


def in_words() -> str:
    """The three main results, for README."""
    records = {name: json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in SHOWN}
    case, dense, tiles = (
        next(row for row in record["rows"] if SHOWN[name].items() <= row.items()) for name, record in records.items()
    )
    commits = ", ".join(dict.fromkeys(record["commit"][:7] for record in records.values()))
    return (
        f"In bfloat16 on {records['case']['machine']}, the full-width InputCascadeCNN segments one BraTS case in "
        f"{case['seconds']:.0f} s, including reading and writing files. Dense inference is "
        f"{dense['dense over patches']:.0f} times as fast as patch-by-patch inference. When trained on tiles, TwoPathCNN "
        f"processes {tiles['labelled pixels per second']:,} labelled pixels per second, {tiles['over patches']:.0f} times as "
        f"many as when trained on single patches. Measured with `make bench` (commit {commits}); full tables: [{PAGE}]({PAGE})."
    )


if __name__ == "__main__":
    main()
