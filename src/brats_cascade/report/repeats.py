"""What repeats of experiments with other seeds and folds say, in Markdown."""

import itertools

import numpy as np
import pandas as pd

from brats_cascade.evaluation.summary import bootstrap_interval
from brats_cascade.labels import REGIONS

FEWEST_PATIENTS = 3  # for an interval over patients


def describe(rows: pd.DataFrame) -> str:
    """A section per split: the hold-out split, and each number of folds.

    Args:
        rows: One row per experiment, folds, fold, seed and case, with patient and the Dice of every region.
    """
    return "\n".join(_section(part, folds=int(str(folds))) for folds, part in rows.groupby("folds"))


def _section(rows: pd.DataFrame, *, folds: int) -> str:
    names = list(dict.fromkeys(rows["experiment"]))
    lines = [
        f"## {f'Cross-validation, {folds} folds' if folds else 'Hold-out split'}\n",
        "Mean Dice over the unseen cases ± standard deviation over seeds [95 % interval over patients].\n",
        _row("experiment", "seeds", *(["folds"] if folds else []), "patients", *REGIONS),
        _row(*["---"] * (len(REGIONS) + 3 + bool(folds))),
    ]
    for name in names:
        own = rows[rows["experiment"] == name]
        counts = [own[key].nunique() for key in ("seed", *(["fold"] if folds else []), "patient")]
        lines.append(_row(name, *map(str, counts), *(_mean(own, region=region) for region in REGIONS)))
    pairs = [_row(f"{a} - {b}", *_differences(rows, a, b)) for a, b in itertools.combinations(names, 2)]
    if pairs:
        title = "Difference of two experiments over their common cases and seeds, and whether it has one sign with every seed"
        header = [_row("experiments", "common seeds", *REGIONS), _row(*["---"] * (len(REGIONS) + 2))]
        lines += [f"\n{title}.\n", *header, *pairs]
    return "\n".join(lines) + "\n"


def _by_seed(rows: pd.DataFrame, *, region: str) -> pd.DataFrame:
    """Dice of every case (rows) with every seed (columns), of the cases that have a score with every seed."""
    table = rows.pivot_table(index=["patient", "case"], columns="seed", values=f"{region}_dice")
    return table.dropna()


def _mean(rows: pd.DataFrame, *, region: str) -> str:
    table = _by_seed(rows, region=region)
    if not len(table):
        return ""
    means, patients = table.mean(), table.index.get_level_values("patient").to_numpy(dtype=str)
    text = f"{means.mean():.3f}" + (f" ± {means.std(ddof=1):.3f}" if len(means) > 1 else "")
    if len(set(patients)) >= FEWEST_PATIENTS:
        cases = table.mean(axis=1).to_numpy(dtype=float)
        low, high = bootstrap_interval(cases, groups=patients, generator=np.random.default_rng(1))
        text += f" [{low:.3f}, {high:.3f}]"
    return text


def _differences(rows: pd.DataFrame, first: str, second: str) -> list[str]:
    """The number of seeds that two experiments have in common, and the difference in each region."""
    cells, seeds = [], 0
    for region in REGIONS:
        one, other = (_by_seed(rows[rows["experiment"] == name], region=region) for name in (first, second))
        change = (one - other).dropna(how="all", axis=1).dropna().mean()
        seeds = len(change)
        same = (change > 0).all() or (change < 0).all()
        verdict = "one seed" if seeds == 1 else "same sign with every seed" if same else "no common sign"
        cells.append(f"{change.mean():+.3f}, {verdict}" if seeds else "")
    return [str(seeds), *cells]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
