"""Summarises the scores of single cases for an experiment, and compares two experiments."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from brats_cascade.evaluation.lesions import LESION_COUNTS, LESION_MEANS
from brats_cascade.labels import REGIONS

SUMMARISED = ("dice", "ppv", "sensitivity", "specificity", "hd95")
RESAMPLES = 2000
# With fewer than six patients, even differences of the same sign cannot reach p = 0.05 (2 / 2^5 = 0.0625).
ENOUGH = 6
FEWEST = 3


def summarise(cases: pd.DataFrame, *, seed: int) -> dict[str, Any]:
    """Summarises an experiment, given one row per scored case with the columns of `regions.score_case`.

    Returns:
        Per region the means of SUMMARISED, the medians (with `_median` appended to the name), and with three patients or more
        the 95 % bootstrap interval of the mean Dice over patients, `dice_low` and `dice_high` (`seed` is the bootstrap's). If
        the table has such columns, also means and medians of `LESION_MEANS`, sums of `LESION_COUNTS`, and
        `volume_agreement`. Cases for which a region is not available do not count; a region without other cases is NaN.
        `enhancing_high_grade` has the same for the high-grade cases, if there are any, because low-grade tumours often have
        no enhancing part and an empty region scores 1 or 0. `cases` and `patients` are their numbers.

    Raises:
        ValueError: There is no case.
    """
    if not len(cases):
        raise ValueError("no scored case to summarise: expected at least one row")
    summary: dict[str, Any] = {region: _of_region(cases, region=region, seed=seed) for region in REGIONS}
    high = cases[cases["grade"] == "high"]
    if len(high):
        summary["enhancing_high_grade"] = _of_region(high, region="enhancing", seed=seed)
    summary["cases"] = len(cases)
    summary["patients"] = int(cases["patient"].nunique())
    return summary


def headline(summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of metrics/E.json, which DVC compares, from metrics/E/summary.json."""
    return {
        **{f"dice_{region}": summary[region]["dice"] for region in REGIONS},
        **{f"lesion_dice_{region}": summary[region]["lesion_dice"] for region in REGIONS},
        "hd95_complete": summary["complete"]["hd95"],
        "validation_dice": summary["validation"]["dice"],
    }


def without_postprocess(cases: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Mean scores per region without post-processing, for comparison with those with it."""
    kept = [score for score in SUMMARISED if score != "specificity"]
    return {region: {score: float(cases[f"{region}_{score}"].mean()) for score in kept} for region in REGIONS}


def bootstrap_interval(
    values: np.ndarray, *, groups: np.ndarray, generator: np.random.Generator
) -> tuple[float, float]:
    """The 95 % interval of a mean score over cases, resampling whole patients (`groups`) with all their cases."""
    _, number = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(number, weights=values), np.bincount(number)
    drawn = generator.integers(len(sums), size=(RESAMPLES, len(sums)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def learning_table(history: pd.DataFrame) -> pd.DataFrame:
    """DVC's learning curve: history.csv with the column validation_dice, the mean over the regions."""
    return history.assign(validation_dice=history[[f"validation_{region}" for region in REGIONS]].mean(axis=1))


def pick_cases(cases: pd.DataFrame) -> dict[str, str]:
    """The best, the median and the worst case by complete Dice; with fewer than three cases, all of them."""
    ranked = cases.sort_values(["complete_dice", "case"], ascending=[False, True])["case"].tolist()
    picks = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    return {name: case for i, (name, case) in enumerate(picks.items()) if case not in list(picks.values())[:i]}


def flatten(tree: Mapping[str, Any], *, separator: str = "/") -> dict[str, float]:
    """Flattens nested numbers: `{"a": {"b": 1}}` becomes `{"a/b": 1.0}`; other leaves are omitted."""
    flat: dict[str, float] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}{separator}{name}": inner for name, inner in flatten(value, separator=separator).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat[str(key)] = float(value)
    return flat


def _of_region(cases: pd.DataFrame, *, region: str, seed: int) -> dict[str, float]:
    numbers: dict[str, float] = {}
    cases = cases[cases[f"{region}_dice"].notna()]
    for score in SUMMARISED:
        values = cases[f"{region}_{score}"].to_numpy(dtype=float)
        numbers[score] = float(values.mean()) if len(values) else math.nan
        numbers[f"{score}_median"] = float(np.median(values)) if len(values) else math.nan
    patients = cases["patient"].to_numpy(dtype=str)
    if len(np.unique(patients)) >= 3:
        numbers["dice_low"], numbers["dice_high"] = bootstrap_interval(
            cases[f"{region}_dice"].to_numpy(dtype=float), groups=patients, generator=np.random.default_rng(seed)
        )
    return numbers | _lesion_wise(cases, region=region) | volume_agreement(cases, region=region)


def _lesion_wise(cases: pd.DataFrame, *, region: str) -> dict[str, float]:
    """Means and medians of `LESION_MEANS` and sums of `LESION_COUNTS`; empty for tables without these columns or rows."""
    if f"{region}_lesions" not in cases or not len(cases):
        return {}
    numbers: dict[str, float] = {}
    for score in LESION_MEANS:
        numbers[score] = float(cases[f"{region}_{score}"].mean())
        numbers[f"{score}_median"] = float(cases[f"{region}_{score}"].median())
    return numbers | {count: int(cases[f"{region}_{count}"].sum()) for count in LESION_COUNTS}


def volume_agreement(cases: pd.DataFrame, *, region: str) -> dict[str, float]:
    """Agreement of a region's predicted volumes with the true ones (Bland and Altman), cm3.

    Returns:
        "volume_bias", the mean of predicted minus true; with three cases or more also the 95 % limits of agreement
        "volume_low" and "volume_high", the bias minus and plus 1.96 standard deviations. Empty without volumes.
    """
    if f"{region}_predicted_cm3" not in cases:
        return {}
    excess = (cases[f"{region}_predicted_cm3"] - cases[f"{region}_truth_cm3"]).dropna()
    if excess.empty:
        return {}
    bias, apart = float(excess.mean()), 1.96 * float(excess.std(ddof=1))
    limits = {"volume_low": bias - apart, "volume_high": bias + apart} if len(excess) >= FEWEST else {}
    return {"volume_bias": bias} | limits


def paired_difference(first: pd.DataFrame, second: pd.DataFrame, *, region: str, seed: int = 1) -> dict[str, float]:
    """Compares the Dice of two experiments patient by patient; cases that are scored in only one of them are left out.

    Returns:
        "patients"; "difference": mean over patients of first minus second; with FEWEST patients or more "low" and "high", its
        95 % bootstrap interval; with ENOUGH or more "p", two-sided, from Wilcoxon's signed-rank test.
    """
    values = patient_differences(first, second, region=region)
    numbers: dict[str, float] = {"patients": len(values)}
    if len(values):
        numbers["difference"] = float(values.mean())
    if len(values) >= FEWEST:
        generator = np.random.default_rng(seed)
        low, high = bootstrap_interval(values, groups=np.arange(len(values)), generator=generator)
        numbers |= {"low": low, "high": high}
    if len(values) >= ENOUGH:
        numbers["p"] = wilcoxon_p(values)
    return numbers


def patient_differences(first: pd.DataFrame, second: pd.DataFrame, *, region: str) -> np.ndarray:
    """Dice of the first minus that of the second for every patient with cases in both; means over such cases."""
    both = first[["case", "patient", f"{region}_dice"]].merge(
        second[["case", f"{region}_dice"]], on="case", suffixes=("", "_other")
    )
    change = both[f"{region}_dice"] - both[f"{region}_dice_other"]
    return change.groupby(both["patient"]).mean().dropna().to_numpy(dtype=float)


def wilcoxon_p(differences: np.ndarray, *, alternative: Literal["two-sided", "less", "greater"] = "two-sided") -> float:
    """The p of Wilcoxon's signed-rank test; 1 if all differences are zero."""
    from scipy.stats import wilcoxon

    if not np.any(differences):
        return 1.0
    return float(wilcoxon(differences, alternative=alternative).pvalue)


def against(name: str, *, tables: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, dict[str, float]]]:
    """One experiment compared with each of the others: name -> region -> `paired_difference` of the one minus the other."""
    return {
        other: {region: paired_difference(tables[name], table, region=region) for region in REGIONS}
        for other, table in tables.items()
        if other != name
    }
