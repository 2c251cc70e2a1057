"""What an ablation over seeds says: means and spreads, in numbers, in words and in a picture."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade.labels import REGIONS

FALLEN = 0.1  # below this share of the true tumour a network has collapsed to "non-tumour"
SCORES = (*REGIONS, "tumour_share")


def summarise_seeds(results: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Means and spreads over the seeds.

    Args:
        results: One row an experiment and seed: experiment, seed, complete, core, enhancing (Dice), tumour_share.

    Returns:
        Experiment -> score -> {"mean", "sd" (of single runs; 0 for one seed), "low", "high"}, and "seeds" and "fallen":
        their number, and how many of the runs have collapsed.
    """
    summary: dict[str, dict[str, Any]] = {}
    for name, rows in results.groupby("experiment", sort=False):
        summary[str(name)] = {
            score: {
                "mean": float(rows[score].mean()),
                "sd": float(rows[score].std(ddof=1)) if len(rows) > 1 else 0.0,
                "low": float(rows[score].min()),
                "high": float(rows[score].max()),
            }
            for score in SCORES
        }
        summary[str(name)] |= {"seeds": len(rows), "fallen": int((rows["tumour_share"] < FALLEN).sum())}
    return summary


def write_report(folder: Path, *, results: pd.DataFrame, summary: Mapping[str, Mapping[str, Any]]) -> Any:
    """Writes results.csv, summary.json and summary.md.

    Args:
        folder: Where.
        results: As in `summarise_seeds`.
        summary: From `summarise_seeds`.

    Returns:
        The figure of the spread.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results.to_csv(folder / "results.csv", index=False)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    (folder / "summary.md").write_text(in_words(summary), encoding="utf-8")
    return spread_figure(results)


def in_words(summary: Mapping[str, Mapping[str, Any]]) -> str:
    """A table in Markdown and, below it, what became of the claim that a bare network says "non-tumour" everywhere."""
    lines = [
        "Dice on the unseen patients without post-processing, mean ± standard deviation over seeds; tumour called: pixels",
        "called tumour as a share of those that are.",
        "",
        f"| experiment | seeds | {' | '.join(REGIONS)} | tumour called | collapsed |",
        "|---|---|" + "---|" * (len(REGIONS) + 2),
    ]
    for name, one in summary.items():
        cells = [f"{one[score]['mean']:.3f} ± {one[score]['sd']:.3f}" for score in SCORES]
        lines.append(f"| {name} | {one['seeds']} | {' | '.join(cells)} | {one['fallen']} of {one['seeds']} |")
    fallen = [f"{name} ({one['fallen']} of {one['seeds']} runs)" for name, one in summary.items() if one["fallen"]]
    said = f"Collapsed to non-tumour (less than {FALLEN:.0%} of the tumour called): "
    return "\n".join([*lines, "", said + (", ".join(fallen) if fallen else "none") + "."]) + "\n"


def spread_figure(results: pd.DataFrame) -> Any:
    """One row an experiment, one dot a seed and region, a bar at the mean."""
    from brats_cascade.evaluation.figures import INK, REGION_COLOURS, new_figure

    names = list(dict.fromkeys(results["experiment"]))
    figure = new_figure(9, 1.0 + 0.34 * len(names))
    axes = figure.subplots()
    for place, name in enumerate(names):
        rows = results[results["experiment"] == name]
        for offset, (region, colour) in zip((-0.22, 0, 0.22), REGION_COLOURS.items(), strict=True):
            label = region if place == 0 else None
            axes.plot(
                rows[region], [place + offset] * len(rows), "o", color=colour, markersize=4, alpha=0.7, label=label
            )
            axes.plot([rows[region].mean()] * 2, [place + offset - 0.1, place + offset + 0.1], color=INK, linewidth=1.5)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlim=(-0.02, 1.02), xlabel="Dice on unseen patients, one dot a seed; bar: mean")
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure
