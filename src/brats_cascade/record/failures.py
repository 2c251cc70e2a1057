"""Where the models fail, in words that are computed: the worst case, the weakest region, too much or too little."""

from collections import Counter
from collections.abc import Sequence

from brats_cascade.labels import REGIONS
from brats_cascade.record.results import Result

SMALL = 5.0  # cm3; below it a few voxels decide the Dice of a region


def failure_lines(results: Sequence[Result]) -> list[str]:
    """A paragraph.

    Args:
        results: One experiment an architecture.

    Returns:
        Markdown, one paragraph.
    """
    worst = Counter(str(one.cases["case"].iloc[int(one.cases["complete_dice"].argmin())]) for one in results)
    case, count = worst.most_common(1)[0]
    sentences = [f"{case} is the worst case of {count} of the {len(results)} networks below."]
    sentences += [_of_case(results, case=case)]
    for region in REGIONS:
        sentences.append(_of_region(results, region=region))
    grades = sorted({grade for one in results for grade in one.cases["grade"]})
    if len(grades) > 1:
        parts = [f"{grade} {_mean(results, grade=grade):.2f}" for grade in grades]
        sentences.append(f"Mean complete Dice by grade: {', '.join(parts)}.")
    return [" ".join(sentence for sentence in sentences if sentence)]


def _of_case(results: Sequence[Result], *, case: str) -> str:
    rows = [one.cases[one.cases["case"] == case].iloc[0] for one in results if case in set(one.cases["case"])]
    ppv, found = (sum(float(row[f"complete_{score}"]) for row in rows) / len(rows) for score in ("ppv", "sensitivity"))
    fault = "other tissue is called tumour" if ppv < found else "tumour is missed"
    low, high = min(row["complete_dice"] for row in rows), max(row["complete_dice"] for row in rows)
    return (
        f"Its complete Dice is {low:.2f} to {high:.2f}; mostly {fault} (mean PPV {ppv:.2f}, sensitivity {found:.2f})."
    )


def _of_region(results: Sequence[Result], *, region: str) -> str:
    """Misses or false alarms over all cases and networks, and cases in which the region is small."""
    ppv, found = (
        sum(float(one.cases[f"{region}_{score}"].mean()) for one in results) / len(results)
        for score in ("ppv", "sensitivity")
    )
    fault = "too much is marked" if ppv < found else "too little is marked"
    text = f"{region.capitalize()}: {fault} (mean PPV {ppv:.2f}, sensitivity {found:.2f})"
    truth = results[0].cases.set_index("case")[f"{region}_truth_cm3"]
    small = [f"{case} ({volume:.1f} cm3)" for case, volume in truth.items() if volume < SMALL]
    return f"{text}; small in {', '.join(small)}." if small else f"{text}."


def _mean(results: Sequence[Result], *, grade: str) -> float:
    means = [float(one.cases.loc[one.cases["grade"] == grade, "complete_dice"].mean()) for one in results]
    return sum(means) / len(means)
