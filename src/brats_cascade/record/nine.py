"""The earlier work's table of nine slices beside ours, with the words that say what its numbers are."""

from collections.abc import Iterable, Sequence

from brats_cascade.evaluation.paper import (
    EARLIER_WORK,
    EARLIER_WORK_CASE,
    EARLIER_WORK_NOTE,
    EARLIER_WORK_SLICES,
)
from brats_cascade.evaluation.slices import EARLIER_WORK_COLUMN
from brats_cascade.record.results import Result
from brats_cascade.record.tables import markdown


def nine_lines(results: Sequence[Result]) -> list[str]:
    """Nine slices through the largest unseen tumour, and the earlier work's printed row.

    Args:
        results: The experiments.

    Returns:
        Markdown; empty where no experiment has the table.
    """
    known = [(one.name, one.nine) for one in results if one.nine is not None and len(one.nine)]
    if not known:
        return []
    first = known[0][1]
    numbers = [int(number) for number in first["slice"]]
    rows = [[f"{first['case'].iloc[0]}, slice", *map(str, numbers)]]
    for name, table in known:
        nine = table.set_index("slice").reindex(numbers)
        rows.append([f"{name}: true F1", *_three(nine["complete_f1"])])
        rows.append([f"{name}: pixel agreement", *_three(nine[EARLIER_WORK_COLUMN])])
    earlier = [[f"{EARLIER_WORK_CASE}, slice", *map(str, EARLIER_WORK_SLICES)]]
    earlier += [[f"earlier work, {name}: pixel agreement", *_three(row)] for name, row in EARLIER_WORK.items()]
    return [
        f"{EARLIER_WORK_NOTE} Its case is another one than ours, and agreement rises with the air around a brain: only rows "
        "of one kind on one case can be compared.",
        "",
        *markdown(rows),
        "",
        *markdown(earlier),
    ]


def _three(values: Iterable[float]) -> list[str]:
    return ["-" if value != value else f"{value:.3f}" for value in values]
