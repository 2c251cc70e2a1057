"""Where the models fail, in words that are computed: the worst case, the weakest region, too much or too little."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from brats_cascade.labels import REGIONS

if TYPE_CHECKING:
    import pandas as pd

SMALL = 5.0  # cm3; below it a few voxels decide the Dice of a region


def failure_lines(tables: "Sequence[pd.DataFrame]") -> list[str]:
    """A paragraph.

    Args:
        tables: The cases of each network: case, grade, `{region}_truth_cm3` and the columns of `regions.score_case`.

    Returns:
        Markdown, one paragraph.
    """
    worst = Counter(str(cases["case"].iloc[int(cases["complete_dice"].argmin())]) for cases in tables)
    case, count = worst.most_common(1)[0]
    whose = f"of {count} of the {len(tables)} networks below" if len(tables) > 1 else "by complete Dice"
    sentences = [f"{case} is the worst case {whose}.", _of_case(tables, case=case)]
    for region in REGIONS:
        sentences.append(_of_region(tables, region=region))
    grades = sorted({grade for cases in tables for grade in cases["grade"]})
    if len(grades) > 1:
        parts = [f"{grade} {_mean(tables, grade=grade):.2f}" for grade in grades]
        sentences.append(f"Mean complete Dice by grade: {', '.join(parts)}.")
    return [" ".join(sentence for sentence in sentences if sentence)]


def _of_case(tables: "Sequence[pd.DataFrame]", *, case: str) -> str:
    rows = [cases[cases["case"] == case].iloc[0] for cases in tables if case in set(cases["case"])]
    ppv, found = (sum(float(row[f"complete_{score}"]) for row in rows) / len(rows) for score in ("ppv", "sensitivity"))
    fault = "other tissue is called tumour" if ppv < found else "tumour is missed"
    low, high = (f"{limit(row['complete_dice'] for row in rows):.2f}" for limit in (min, max))
    dice = low if low == high else f"{low} to {high}"
    return f"Its complete Dice is {dice}; mostly {fault} (mean PPV {ppv:.2f}, sensitivity {found:.2f})."


def _of_region(tables: "Sequence[pd.DataFrame]", *, region: str) -> str:
    """Misses or false alarms over all cases and networks, and cases in which the region is small."""
    ppv, found = (
        sum(float(cases[f"{region}_{score}"].mean()) for cases in tables) / len(tables)
        for score in ("ppv", "sensitivity")
    )
    fault = "too much is marked" if ppv < found else "too little is marked"
    text = f"{region.capitalize()}: {fault} (mean PPV {ppv:.2f}, sensitivity {found:.2f})"
    truth = tables[0].set_index("case")[f"{region}_truth_cm3"]
    small = [f"{case} ({volume:.1f} cm3)" for case, volume in truth.items() if volume < SMALL]
    return f"{text}; small in {', '.join(small)}." if small else f"{text}."


def _mean(tables: "Sequence[pd.DataFrame]", *, grade: str) -> float:
    means = [float(cases.loc[cases["grade"] == grade, "complete_dice"].mean()) for cases in tables]
    return sum(means) / len(means)
