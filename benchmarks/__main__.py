"""Runs every benchmark and rewrites docs/results/speed.md and README's three numbers; `--page` does the latter alone."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.common import RESULTS

ALL = ("output_layer", "inference", "layers", "case", "training", "step", "sizes", "ingest", "growth", "start")
PAGE, README = Path("docs/results/speed.md"), Path("README.md")
MARKS = ("<!-- speed:start -->", "<!-- speed:end -->")
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
    text = README.read_text(encoding="utf-8")
    before, after = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
    README.write_text(f"{before}{MARKS[0]}\n{in_words()}\n{MARKS[1]}{after}", encoding="utf-8")
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
    case, inference, training = (
        json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in ("case", "inference", "training")
    )
    row = next(row for row in case["rows"] if row["precision"] == "bfloat16")
    dense = next(
        row for row in inference["rows"] if (row["network"], row["precision"]) == ("input_cascade", "bfloat16")
    )
    tiles = next(
        row
        for row in training["rows"]
        if (row["precision"], row["labelled pixels a side"], row["XLA"]) == ("bfloat16", 64, "no")
    )
    return (
        f"On {case['machine']}, in bfloat16: a scan segmented by the full-width InputCascadeCNN, file to file, in "
        f"{row['seconds']:.0f} s; {dense['dense over patches']:.0f} times faster than patch by patch; TwoPathCNN "
        f"trains on {tiles['labelled pixels per second']:,} labelled pixels a second, {tiles['over patches']:.0f} times "
        f"as many as from patches. Written by `make bench` at commit {case['commit'][:7]}; all of it: [{PAGE}]({PAGE})."
    )


if __name__ == "__main__":
    main()
