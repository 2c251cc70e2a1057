"""All experiments side by side: reports/comparison.json, and the plain text table that ends a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from brats_cascade.labels import REGIONS
from brats_cascade.report.paper import PAPER

COMPARED = ("dice", "dice_low", "dice_high", "ppv", "sensitivity", "hd95")


def comparison(
    summaries: Mapping[str, Mapping[str, Any]],
    *,
    baseline: Mapping[str, Any] | None = None,
    best: str | None = None,
    paired: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Gathers the numbers that compare experiments.

    Args:
        summaries: Experiment -> metrics/E/summary.json as read.
        baseline: From `baseline.baseline_summary`.
        best: The best on validation of these experiments, by `tracking.champion.best`.
        paired: From `paired.against`: the best against each of the others.

    Returns:
        `{"experiments": {E: {region: {dice, dice_low, dice_high, ppv, sensitivity, hd95, dice_without_postprocess},
        "patients": n, "validation_dice": d, "validation_dice_without_postprocess": d}}, "baseline": {...},
        "best": E, "best_minus": {other E: {region: {patients, difference, low, high, p}}}}`; each
        entry only where there is one.
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
        gathered["experiments"][name] = {**rows, "patients": summary["patients"]}
    if baseline is not None:
        gathered["baseline"] = dict(baseline)
    if best is not None:
        gathered["best"] = best
    if paired:
        gathered["best_minus"] = dict(paired)
    return gathered


def text_table(compared: Mapping[str, Any], *, champion: str = "") -> str:
    """Writes the comparison as plain text, with where to look next.

    Args:
        compared: From `comparison`, or reports/comparison.json as read.
        champion: One line about the champion.

    Returns:
        Several lines, no trailing newline.
    """
    experiments = compared["experiments"]
    patients = sorted({entry["patients"] for entry in experiments.values()})
    rows: list[Sequence[str]] = [("", *REGIONS, "HD95", "bare", "validation")]
    for name, entry in experiments.items():
        complete = entry["complete"]
        rows.append(
            (
                f"{name} *" if name == compared.get("best") else name,
                *(_with_interval(entry[region]) for region in REGIONS),
                f"{complete['hd95']:.1f}",
                _three(complete.get("dice_without_postprocess")),
                _three(entry.get("validation_dice")),
            )
        )
    if "baseline" in compared:
        base = compared["baseline"]
        dice, distance = base["complete"]["dice"], base["complete"]["hd95"]
        rows.append((f"threshold: {base['rule']}", f"{dice:.3f}", "", "", f"{distance:.1f}", "", ""))
    paper = PAPER[0]
    rows.append((f"paper's {paper.method}, other patients", *(f"{dice:.2f}" for dice in paper.dice), "", "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    rule = "-" * max(len(line) for line in lines)
    who = " or ".join(str(count) for count in patients) or "no"
    return "\n".join(
        [
            f"Mean Dice over {who} unseen patients [95 % interval]",
            rule,
            lines[0],
            rule,
            *lines[1:],
            rule,
            "HD95 in mm and bare (without post-processing): complete tumour; validation: mean of the regions",
            *(["* best of these on the validation patients"] if "best" in compared else []),
            *([champion] if champion else []),
            "Where to look next",
            "  reports/index.html       scores, curves and pictures of every experiment, on one page",
            "  reports/data/            what was checked in the data",
            "  make ui                  every run in MLflow's pages, on this machine only",
            "  dvc metrics show         the same numbers; dvc exp run -S ... tries other ones",
        ]
    )


def _with_interval(scores: Mapping[str, float]) -> str:
    text = f"{scores['dice']:.3f}"
    return f"{text} [{scores['dice_low']:.2f}, {scores['dice_high']:.2f}]" if "dice_low" in scores else text


def _three(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
