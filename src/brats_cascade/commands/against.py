"""Compares several sets of predictions of the same cases: paired Dice differences, and ranks as in the BraTS challenge."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from brats_cascade.errors import UserError
from brats_cascade.evaluation.summary import ENOUGH, FEWEST, against
from brats_cascade.labels import REGIONS
from brats_cascade.report.render import paired_text
from brats_cascade.report.text import text_table

RANKED = {"dice": False, "hd95": True}  # score -> whether lower is better
DIGITS = 6  # scores with a smaller difference share a rank


def compare_sets(tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Compares the first set with each of the others, and ranks all sets, on the cases that all of them have.

    Returns:
        "cases": their number; "minus": other set -> region -> `paired_difference` of the first minus the other; "ranks":
        region -> set -> `mean_ranks`, and under "all" the means over the regions.

    Raises:
        UserError: No case is in all sets.
    """
    first, *_ = tables
    common = set.intersection(*(set(table["case"]) for table in tables.values()))
    if not common:
        raise UserError(
            f"--against: no case was scored in all of {', '.join(tables)}; give predictions of the same cases"
        )
    tables = {name: table[table["case"].isin(common)] for name, table in tables.items()}
    ranks = {region: mean_ranks(tables, region=region) for region in REGIONS}
    known = [means for means in ranks.values() if means]
    ranks["all"] = {name: sum(means[name] for means in known) / len(known) for name in tables}
    return {"cases": len(common), "minus": against(first, tables=tables), "ranks": ranks}


def mean_ranks(tables: Mapping[str, pd.DataFrame], *, region: str) -> dict[str, float]:
    """Each set's mean rank in a region over cases and the scores of RANKED; 1 is best, equal scores share ranks."""
    places = []
    for score, lower_is_better in RANKED.items():
        columns = {name: table.set_index("case")[f"{region}_{score}"] for name, table in tables.items()}
        places.append(pd.DataFrame(columns).dropna().round(DIGITS).rank(axis=1, ascending=lower_is_better))
    return {str(name): float(mean) for name, mean in pd.concat(places).mean().dropna().items()}


def text_of(compared: Mapping[str, Any]) -> str:
    """The comparison as a text table."""
    names = list(compared["ranks"]["all"])
    rows = []
    for region, ranks in compared["ranks"].items():
        minus = [paired_text(regions.get(region, {})) for regions in compared["minus"].values()]
        rows.append([region, *minus, *(f"{ranks[name]:.2f}" if ranks else "-" for name in names)])
    header = ["", *(f"minus {name}" for name in compared["minus"]), *(f"rank {name}" for name in names)]
    return "\n".join(
        [
            f"Dice of {names[0]}, mean paired difference [95 % interval], {compared['cases']} cases",
            text_table(header, rows=rows),
            f"interval: bootstrap over patients, {FEWEST} or more; p: Wilcoxon, {ENOUGH} or more; rank: mean over cases of the "
            "ranks by Dice and by HD95, 1 is best",
        ]
    )
