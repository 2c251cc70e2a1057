"""The tables of scores: all experiments beside the paper's rows, grades apart, every patient."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brats_cascade.evaluation.paper import PAPER
from brats_cascade.evaluation.summary import bootstrap_interval
from brats_cascade.labels import REGIONS
from brats_cascade.record.crossval_result import Crossval
from brats_cascade.record.results import Result

if TYPE_CHECKING:
    import pandas as pd

NETWORKS = {row.architecture: row.method for row in PAPER} | {"unet": "yardstick, plain U-Net"}
FEWEST = 3  # patients for an interval, as in metrics/E/summary.json
SCORES = {"dice": 3, "ppv": 2, "sensitivity": 2, "hd95": 1}  # and their decimals
HEAD = (
    "", *(f"Dice {region}" for region in REGIONS), "Dice enhancing, high grade", "PPV", "sensitivity", "HD95, mm", "training",
    "labelled pixels", "a case",
)  # fmt: skip


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; the first row is its head."""
    head, *body = rows
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body)]


def scores_table(
    results: Sequence[Result], *, baseline: Mapping[str, Any] | None, patients: int, crossvals: Sequence[Crossval] = ()
) -> list[str]:
    """One row an experiment, then cross-validations, the threshold baseline and the paper's printed rows.

    Args:
        results: The experiments.
        baseline: As in reports/comparison.json.
        patients: The number of the split's unseen patients, on whom the baseline was scored.
        crossvals: The cross-validations.

    Returns:
        Markdown; three numbers in a cell are complete / core / enhancing.
    """
    rows = [list(HEAD), *(_scores(one, name=one.name) for one in results)]
    for folds in crossvals:
        everyone = folds.cases["patient"].nunique()
        rows.append(_scores(folds, name=f"{folds.title}, cross-validated over {everyone} patients"))
    if baseline:
        base = baseline["complete"]
        numbers = [f"{base['ppv']:.2f}", f"{base['sensitivity']:.2f}", f"{base['hd95']:.1f}"]
        name = f"best threshold on one modality, {patients} patients"
        rows.append([name, f"{base['dice']:.3f}", "", "", "", *numbers, "", "", ""])
    for paper in PAPER:
        shown = [" / ".join(f"{score:.2f}" for score in scores) for scores in (paper.ppv, paper.sensitivity)]
        dice, seconds = [f"{score:.2f}" for score in paper.dice], f"{paper.seconds:.0f} s" if paper.seconds else ""
        rows.append([f"paper: {paper.method}, {paper.phases}", *dice, "", *shown, "", "", "", seconds])
    return markdown(rows)


def _scores(one: Result | Crossval, *, name: str) -> list[str]:
    """The cells of one row."""
    scores, high = [one.summary[region] for region in REGIONS], one.summary.get("enhancing_high_grade")
    return [
        f"{NETWORKS[one.architecture]}: {name}",
        *(_dice(region) for region in scores),
        _dice(high) if high else "",
        *(" / ".join(f"{region[score]:.{SCORES[score]}f}" for region in scores) for score in list(SCORES)[1:]),
        f"{one.training / 60:.1f} min{f', {one.card}' if one.card else ''}",
        f"{one.pixels / 1e6:.1f} M",
        f"{one.prediction:.1f} s",
    ]


def _dice(scores: Mapping[str, float]) -> str:
    text = f"{scores['dice']:.3f}"
    return f"{text} [{scores['dice_low']:.2f}, {scores['dice_high']:.2f}]" if "dice_low" in scores else text


def grades_table(tables: Mapping[str, "pd.DataFrame"]) -> list[str]:
    """All scores of every region with their intervals, over all cases and over each grade.

    Args:
        tables: Row's name -> cases: patient, grade and the columns of `regions.score_case`.

    Returns:
        Markdown.
    """
    rows = [["", "grade", "patients", "region", "Dice", "PPV", "sensitivity", "HD95, mm"]]
    for name, cases in tables.items():
        grades = sorted(set(cases["grade"]))
        groups = {"all": cases, **{grade: cases[cases["grade"] == grade] for grade in grades if len(grades) > 1}}
        for grade, some in groups.items():
            for region in REGIONS:
                cells = [_mean(some, column=f"{region}_{score}", digits=digits) for score, digits in SCORES.items()]
                rows.append([name, grade, str(some["patient"].nunique()), region, *cells])
    return markdown(rows)


def _mean(cases: "pd.DataFrame", *, column: str, digits: int) -> str:
    """The mean over cases, with its bootstrap interval over patients where there are enough."""
    values, patients = cases[column].to_numpy(dtype=float), cases["patient"].to_numpy(dtype=str)
    text = f"{values.mean():.{digits}f}"
    if len(np.unique(patients)) < FEWEST:
        return text
    low, high = bootstrap_interval(values, groups=patients, generator=np.random.default_rng(1))
    shown = min(digits, 2)
    return f"{text} [{low:.{shown}f}, {high:.{shown}f}]"


def cases_table(tables: Mapping[str, "pd.DataFrame"]) -> list[str]:
    """One row a case."""
    rows = [["", "case", "grade", *(f"Dice {region}" for region in REGIONS), "HD95 complete, mm", "seconds"]]
    for name, cases in tables.items():
        for row in cases.to_dict("records"):
            dice = [f"{row[f'{region}_dice']:.3f}" for region in REGIONS]
            ends = [f"{row['complete_hd95']:.1f}", f"{row['seconds']:.1f}"]
            rows.append([name, str(row["case"]), str(row["grade"]), *dice, *ends])
    return markdown(rows)
