"""Runs every benchmark and rewrites docs/results/speed.md and README's three numbers; `--page` does the latter alone."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.common import RESULTS
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
# Benchmark -> which of its rows README shows.
SHOWN = {
    "case": {"precision": "bfloat16"},
    "inference": {"network": "input_cascade", "precision": "bfloat16"},
    "training": {"precision": "bfloat16", "labelled pixels a side": 64, "XLA": "no"},
}
# Filled in by hand where a GPU is at hand; these benchmarks run on the processor.
GPU = [
    "## On a data-centre GPU",
    "",
    "No GPU was at hand, so these rows are empty.",
    "",
    "| what | to reach | reached |",
    "| --- | --- | --- |",
    "| InputCascadeCNN, one real case, device time | 0.5 s |  |",
    "| training in tiles, share of the bfloat16 matrix-product rate | 0.2 |  |",
    "| output layer, columns against direct, forward and step |  |  |",
]


def main() -> None:
    """Each benchmark is a process of its own, so that none inherits another's memory or threads."""
    for name in () if "--page" in sys.argv else ALL:
        print(f"\n{name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
    PAGE.write_text("\n".join(page()) + "\n", encoding="utf-8")
    put_between(README, part="speed", text=in_words())
    print(f"\n{PAGE}")


def page() -> list[str]:
    """The page's lines: one table per result file."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    lines = [
        "# Speed",
        "",
        "Written by `make bench`. Ratios are measured in one process; R is that process's own rate for a",
        "",
    ]
    lines[-2] += " matrix product of the same precision."
    for record in records:
        names = list(dict.fromkeys(name for row in record["rows"] for name in row))
        lines += [
            f"## {record['benchmark']}",
            "",
            f"`{record['command']}` on {record['machine']}, commit {record['commit']}.",
            "",
        ]
        lines += ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
        lines += ["| " + " | ".join(str(row.get(name, "")) for name in names) + " |" for row in record["rows"]]
        lines.append("")
    return lines + GPU


def in_words() -> str:
    """The three numbers that matter to a user, in one sentence."""
    records = {name: json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in SHOWN}
    case, dense, tiles = (
        next(row for row in record["rows"] if SHOWN[name].items() <= row.items()) for name, record in records.items()
    )
    commits = ", ".join(dict.fromkeys(record["commit"][:7] for record in records.values()))
    return (
        f"On {records['case']['machine']}, in bfloat16: the full-width InputCascadeCNN segments a real case "
        f"({case['case']}), file to file, in {case['seconds']:.0f} s; dense inference is {dense['dense over patches']:.0f} "
        f"times as fast as patch by patch; TwoPathCNN trains on {tiles['labelled pixels per second']:,} labelled pixels a "
        f"second, {tiles['over patches']:.0f} times as many as from patches. Written by `make bench` (commit {commits}); "
        f"all of it: [{PAGE}]({PAGE})."
    )


if __name__ == "__main__":
    main()
