"""The comparison of all experiments, for reports/comparison.json and as text for the terminal; and text tables."""

import io
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from brats_cascade.labels import REGIONS
from brats_cascade.report.cost import cost_note, cost_table
from brats_cascade.report.paper import PAPER
from brats_cascade.report.render import short, with_interval

COMPARED = ("dice", "dice_low", "dice_high", "ppv", "sensitivity", "hd95", "lesion_dice", "lesion_hd95")
NEXT = (
    "Next:",
    "  reports/index.html       scores, curves and images of all experiments",
    "  reports/data/            the data check",
    "  make ui                  all runs in MLflow",
    "  dvc metrics show         the same scores; dvc exp run -S ... tries other settings",
)
NUMBER = re.compile(r"[-+]?(\d+\.?\d*(e[-+]\d+)?|nan|inf)?")  # also empty, or a dash
PIPED = 10_000  # columns, so that no cell is cut or wrapped


def comparison(
    summaries: Mapping[str, Mapping[str, Any]],
    *,
    baseline: Mapping[str, Any] | None = None,
    best: str | None = None,
    paired: Mapping[str, Any] | None = None,
    costs: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The content of reports/comparison.json, from metrics/E/summary.json and `costs.cost_of` of each experiment.

    `best` has the best validation score, `paired` compares it with the others (`summary.against`), and `baseline` is from
    `baseline.baseline_summary`.
    """
    gathered: dict[str, Any] = {"experiments": {}}
    for name, summary in summaries.items():
        rows: dict[str, Any] = {
            region: {key: summary[region][key] for key in COMPARED if key in summary[region]} for region in REGIONS
        }
        for region, bare in summary.get("without_postprocess", {}).items():
            rows[region]["dice_without_postprocess"] = bare["dice"]
        if "validation" in summary:
            rows["validation_dice"] = summary["validation"]["dice"]
            rows["validation_dice_without_postprocess"] = summary["validation"]["dice_without"]
        cost = (costs or {}).get(name)
        gathered["experiments"][name] = {**rows, "patients": summary["patients"], **({"cost": cost} if cost else {})}
    others = {"baseline": baseline, "best": best, "best_minus": paired}
    return gathered | {key: value for key, value in others.items() if value}


def text_table(header: Sequence[str], *, rows: Sequence[Sequence[str]]) -> str:
    """A table as text, as wide as the terminal; if piped, plain and as wide as its cells.

    Columns in which all cells are numbers or empty are right-aligned.
    """
    from rich.console import Console
    from rich.table import Table

    terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, *cells in zip(header, *rows, strict=True):
        numbers = all(NUMBER.fullmatch(cell) for cell in cells)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(
        file=io.StringIO(), force_terminal=terminal, width=None if terminal else PIPED, markup=False, highlight=False
    )
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def results_text(compared: Mapping[str, Any], *, champion: str = "") -> str:
    """The comparison (reports/comparison.json) as plain text, with a line about the champion and hints for further steps."""
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
        "HD95 (mm) and no post-proc. (Dice without post-processing) are for the complete tumour; validation is the mean Dice "
        "over the regions",
        *(["* best of these experiments on the validation patients"] if "best" in compared else []),
        *([champion] if champion else []),
    ]
    costs = cost_table(experiments)
    if costs:
        lines += ["", "Cost of segmenting one test case, and of training", ""]
        lines += [text_table(costs[0], rows=costs[1:]), "", cost_note(experiments), ""]
    return "\n".join([*lines, *NEXT])


def _row(name: str, *, entry: Mapping[str, Any], best: bool) -> list[str]:
    complete = entry["complete"]
    return [
        f"{name} *" if best else name,
        *(with_interval(entry[region]) for region in REGIONS),
        f"{complete['hd95']:.1f}",
        short(complete.get("dice_without_postprocess"), ".3f"),
        short(entry.get("validation_dice"), ".3f"),
    ]
