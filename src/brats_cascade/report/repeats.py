"""Summarises repeats of experiments with other seeds and folds, in Markdown."""

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd

from brats_cascade.evaluation.summary import FEWEST, bootstrap_interval
from brats_cascade.labels import REGIONS
from brats_cascade.report.render import markdown_table


def describe(rows: pd.DataFrame) -> str:
    """One section for the hold-out split and one for each number of folds; `rows` are those of reports/repeat.csv."""
    return "\n".join(_section(part, folds=int(str(folds))) for folds, part in rows.groupby("folds"))


def _section(rows: pd.DataFrame, *, folds: int) -> str:
    names = list(dict.fromkeys(rows["experiment"]))
    whole = {name: _whole_seeds(rows[rows["experiment"] == name]) for name in names}
    means = [["experiment", "seeds", *(["folds"] if folds else []), "patients", *REGIONS]]
    for name in names:
        own = whole[name]
        counts = [own[key].nunique() for key in ("seed", *(["fold"] if folds else []), "patient")]
        means.append([name, *map(str, counts), *(_mean(own, region=region) for region in REGIONS)])
    parts = [
        f"## {f'Cross-validation, {folds} folds' if folds else 'Hold-out split'}",
        "Mean Dice over the test cases ± standard deviation over seeds [95 % interval over patients].",
        markdown_table(means, padding=" "),
    ]
    if partial := _partial_seeds(rows, whole=whole):
        parts.append(f"Left out, because another seed of the experiment has more cases: {partial}.")
    if len(names) > 1:
        pairs = [[f"{a} - {b}", *_differences(whole[a], whole[b])] for a, b in itertools.combinations(names, 2)]
        parts += [
            "Difference between two experiments over common cases and seeds, and whether the sign is the same for all seeds.",
            markdown_table([["experiments", "common seeds", *REGIONS], *pairs], padding=" "),
        ]
    return "\n\n".join(parts) + "\n"


def _whole_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of an experiment's seed with the most cases, and of all seeds with the same cases."""
    cases = {seed: set(part["case"]) for seed, part in rows.groupby("seed")}
    most = max(cases.values(), key=len)
    return rows[rows["seed"].map(cases) == most]


def _partial_seeds(rows: pd.DataFrame, *, whole: Mapping[str, pd.DataFrame]) -> str:
    """The seeds that `_whole_seeds` leaves out, with their number of cases; "" if there are none."""
    found = []
    for name, kept in whole.items():
        own, count = rows[rows["experiment"] == name], kept["case"].nunique()
        for seed, part in own[~own["seed"].isin(kept["seed"])].groupby("seed"):
            found.append(f"{name} with seed {seed} ({part['case'].nunique()} of {count} cases)")
    return ", ".join(found)


def _by_seed(rows: pd.DataFrame, *, region: str) -> pd.DataFrame:
    """The Dice of every case (rows) for every seed (columns), for cases that have a score for every seed."""
    return rows.pivot_table(index=["patient", "case"], columns="seed", values=f"{region}_dice").dropna()


def _mean(rows: pd.DataFrame, *, region: str) -> str:
    table = _by_seed(rows, region=region)
    if not len(table):
        return ""
    means, patients = table.mean(), table.index.get_level_values("patient").to_numpy(dtype=str)
    text = f"{means.mean():.3f}" + (f" ± {means.std(ddof=1):.3f}" if len(means) > 1 else "")
    if len(set(patients)) >= FEWEST:
        cases = table.mean(axis=1).to_numpy(dtype=float)
        low, high = bootstrap_interval(cases, groups=patients, generator=np.random.default_rng(1))
        text += f" [{low:.3f}, {high:.3f}]"
    return text


def _differences(first: pd.DataFrame, second: pd.DataFrame) -> list[str]:
    """The number of seeds that two experiments have in common, and their difference in each region."""
    common = set(first["seed"]) & set(second["seed"])
    cells, seeds = [], 0
    for region in REGIONS:
        minuend, subtrahend = (_by_seed(part[part["seed"].isin(common)], region=region) for part in (first, second))
        change = (minuend - subtrahend).dropna().mean()
        seeds = len(change)
        same = (change > 0).all() or (change < 0).all()
        verdict = "one seed" if seeds == 1 else "same sign with every seed" if same else "no common sign"
        cells.append(f"{change.mean():+.3f}, {verdict}" if seeds else "")
    return [str(seeds), *cells]
