"""Two experiments on the same test patients: the paired difference, its interval, and a test where it means something."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from brats_cascade.evaluation.summary import bootstrap_interval
from brats_cascade.labels import REGIONS

if TYPE_CHECKING:
    import pandas as pd

# Below six patients not even a difference of one sign throughout reaches p = 0.05 (2 / 2^5 = 0.0625).
ENOUGH = 6
FEWEST = 3


def paired_difference(first: "pd.DataFrame", second: "pd.DataFrame", *, region: str, seed: int = 1) -> dict[str, float]:
    """Compares the Dice of two experiments patient by patient; cases that only one of them has are left out.

    Returns:
        "patients"; "difference": mean over patients of first minus second; from three patients on "low" and "high", its 95 %
        bootstrap interval; from six on "p", two-sided, of Wilcoxon's signed-rank test over patients.
    """
    both = first[["case", "patient", f"{region}_dice"]].merge(
        second[["case", f"{region}_dice"]], on="case", suffixes=("", "_other")
    )
    change = both[f"{region}_dice"] - both[f"{region}_dice_other"]
    values = change.groupby(both["patient"]).mean().to_numpy(dtype=float)
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


def wilcoxon_p(differences: np.ndarray) -> float:
    """The two-sided p of Wilcoxon's signed-rank test; 1 where no difference is left."""
    from scipy.stats import wilcoxon

    if not np.any(differences):
        return 1.0
    return float(wilcoxon(differences).pvalue)


def against(name: str, *, tables: Mapping[str, "pd.DataFrame"]) -> dict[str, dict[str, dict[str, float]]]:
    """One experiment against each of the others: their name -> region -> `paired_difference` of the one minus the other."""
    return {
        other: {region: paired_difference(tables[name], table, region=region) for region in REGIONS}
        for other, table in tables.items()
        if other != name
    }
