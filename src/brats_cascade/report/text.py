"""Text for the terminal: tables, and the results of a run."""

import io
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from brats_cascade.labels import REGIONS
from brats_cascade.report.paper import PAPER
from brats_cascade.report.render import with_interval

NEXT = (
    "Where to look next:",
    "  reports/index.html       scores, curves and pictures of every experiment, on one page",
    "  reports/data/            the checks of the data",
    "  make ui                  all runs in MLflow, on this machine only",
    "  dvc metrics show         the same numbers; dvc exp run -S ... tries different settings",
)
PIPED = 10_000  # columns: no cell is cut or wrapped


def text_table(header: Sequence[str], *, rows: Sequence[Sequence[str]]) -> str:
    """A table as text: as wide as the terminal, or, piped, plain and as wide as its cells.

    Columns of which all cells are numbers or empty are aligned to the right.
    """
    from rich.console import Console
    from rich.table import Table

    terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, *cells in zip(header, *rows, strict=True):
        numbers = all(cell in ("", "-") or _is_number(cell) for cell in cells)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(
        file=io.StringIO(), force_terminal=terminal, width=None if terminal else PIPED, markup=False, highlight=False
    )
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def results_text(compared: Mapping[str, Any], *, champion: str = "") -> str:
    """The comparison (reports/comparison.json) as plain text, with a line about the champion and where to look next."""
    experiments = compared["experiments"]
    rows = [_row(name, entry=entry, best=name == compared.get("best")) for name, entry in experiments.items()]
    if "baseline" in compared:
        base = compared["baseline"]
        dice, distance = base["complete"]["dice"], base["complete"]["hd95"]
        rows.append([f"threshold: {base['rule']}", f"{dice:.3f}", "", "", f"{distance:.1f}", "", ""])
    paper = PAPER[0]
    rows.append([f"paper: {paper.method}, different patients", *(f"{dice:.2f}" for dice in paper.dice), "", "", ""])
    counts = sorted({entry["patients"] for entry in experiments.values()})
    lines = [
        f"Mean Dice over {' or '.join(map(str, counts)) or 'no'} test patients [95 % interval]",
        "",
        text_table(["", *REGIONS, "HD95", "no post-proc.", "validation"], rows=rows),
        "",
        "HD95 (mm) and no post-proc. (Dice without post-processing): complete tumour; validation: mean Dice over the regions",
        *(["* best of these experiments on the validation patients"] if "best" in compared else []),
        *([champion] if champion else []),
    ]
    return "\n".join([*lines, *NEXT])


def _row(name: str, *, entry: Mapping[str, Any], best: bool) -> list[str]:
    complete = entry["complete"]
    return [
        f"{name} *" if best else name,
        *(with_interval(entry[region]) for region in REGIONS),
        f"{complete['hd95']:.1f}",
        _three(complete.get("dice_without_postprocess")),
        _three(entry.get("validation_dice")),
    ]


def _three(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
