"""What an ablation over seeds says: means and spreads, in numbers, in words and in a picture."""

import json
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from brats_cascade import provenance
from brats_cascade.evaluation.ablation import FALLEN, Experiment, comparable, described, lacking, question_of
from brats_cascade.labels import REGIONS

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


def write_report(
    folder: Path, *, results: pd.DataFrame, summary: Mapping[str, Mapping[str, Any]], experiments: Sequence[Experiment]
) -> Any:
    """Writes results.csv, summary.json and summary.md.

    Args:
        folder: Where.
        results: As in `summarise_seeds`.
        summary: From `summarise_seeds`.
        experiments: Names and settings, to find what each pair of them differs in.

    Returns:
        The figure of the spread.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results.to_csv(folder / "results.csv", index=False)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    (folder / "summary.md").write_text(in_words(summary, results=results, experiments=experiments), encoding="utf-8")
    return spread_figure(results)


def write_page(path: Path, *, report: Path, words: Sequence[str], hashes: Mapping[str, str], title: str) -> None:
    """Writes the summary as a page for git, with its picture, and where its numbers come from.

    Args:
        path: Such as docs/results/ablation.md; the picture goes beside it.
        report: Folder of `write_report`, with spread.png.
        words: The command.
        hashes: Of the data, path -> md5.
        title: Of the page.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = path.with_name(f"{path.stem}_spread.png")
    shutil.copyfile(report / "spread.png", picture)
    data = ", ".join(f"{name} {md5}" for name, md5 in hashes.items())
    lines = [
        f"# {title}",
        f"Written by `{shlex.join(words)}`, at commit {provenance.git_commit(Path.cwd())}, on {provenance.machine()}; "
        f"data {data or 'not hashed'}.",
        (report / "summary.md").read_text(encoding="utf-8").rstrip(),
        f"![Dice of every seed]({picture.name})",
    ]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def in_words(
    summary: Mapping[str, Mapping[str, Any]], *, results: pd.DataFrame, experiments: Sequence[Experiment]
) -> str:
    """A table in Markdown and, below it, an answer to every question that two experiments differing in one thing answer."""
    lines = [
        "Dice on the unseen patients without post-processing, mean ± standard deviation over seeds; tumour called: pixels",
        "called tumour as a share of those that are.",
        "",
        f"| experiment | seeds | {' | '.join(REGIONS)} | tumour called | collapsed |",
        "|---|---|" + "---|" * (len(REGIONS) + 2),
    ]
    for name, one in summary.items():
        cells = [_spread(one[score]) for score in SCORES]
        lines.append(f"| {name} | {one['seeds']} | {' | '.join(cells)} | {one['fallen']} of {one['seeds']} |")
    lines += ["", "## Does a network without class weights or regularisation collapse to non-tumour?", ""]
    lines += [_collapse(one, summary=summary[one.name]) for one in experiments if lacking(one)] or [
        "- None was trained."
    ]
    others = [f"{name} ({one['fallen']} of {one['seeds']})" for name, one in summary.items() if one["fallen"]]
    lines.append(f"- Of all experiments these collapsed, in so many runs: {', '.join(others) or 'none'}.")
    for factor, pairs in comparable(experiments).items():
        lines += ["", f"## {question_of(factor)}", ""]
        if factor == "architecture":
            lines.append(_ranking(list(dict.fromkeys(one.name for pair in pairs for one in pair)), results=results))
        lines += [_comparison(*pair, factor=factor, summary=summary, results=results) for pair in pairs]
    return "\n".join(lines) + "\n"


def _collapse(one: Experiment, *, summary: Mapping[str, Any]) -> str:
    share, seeds = summary["tumour_share"], summary["seeds"]
    return (
        f"- {one.name}, without {' and without '.join(lacking(one))}: calls {share['mean']:.0%} ± {share['sd']:.0%} of the "
        f"tumour; collapsed (below {FALLEN:.0%}) with {summary['fallen']} of {seeds} seeds."
    )


def _ranking(names: Sequence[str], *, results: pd.DataFrame) -> str:
    """Architectures by their mean Dice over the regions, and whether the first leads with every seed."""
    table = results.assign(dice=results[list(REGIONS)].mean(axis=1)).pivot_table(
        index="seed", columns="experiment", values="dice"
    )
    order = list(table[list(names)].mean().sort_values(ascending=False).index)
    ranks = [f"{name} {table[name].mean():.3f}" for name in order]
    lead = _verdict(table[order[0]] - table[order[1]])
    return f"- By mean Dice over the regions: {', '.join(ranks)}. {order[0]} against {order[1]}: {lead}."


def _comparison(
    first: Experiment,
    second: Experiment,
    *,
    factor: str,
    summary: Mapping[str, Mapping[str, Any]],
    results: pd.DataFrame,
) -> str:
    one, other = described(first, factor=factor, against=second), described(second, factor=factor, against=first)
    scores = "; ".join(
        f"{region} {_spread(summary[first.name][region])} against {_spread(summary[second.name][region])}"
        for region in REGIONS
    )
    table = results.pivot_table(index="seed", columns="experiment", values="complete")
    return f"- {one} against {other}: {scores}. Complete: {_verdict(table[first.name] - table[second.name])}."


def _verdict(differences: pd.Series) -> str:
    """What the paired differences, one a seed, allow to say."""
    higher, count = int((differences > 0).sum()), len(differences)
    text = f"{differences.mean():+.3f}"
    if count == 1:
        return f"{text}, of one seed, which tells nothing about chance"
    if higher == count or (differences < 0).all():
        return f"{text}, {'higher' if higher else 'lower'} with each of {count} seeds"
    return f"{text}, higher with {higher} of {count} seeds: no difference beyond that between seeds"


def _spread(numbers: Mapping[str, float]) -> str:
    return f"{numbers['mean']:.3f} ± {numbers['sd']:.3f}"


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
