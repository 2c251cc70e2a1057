"""What helps: every choice with and without, by the validation patients' score alone, and only what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from brats_cascade.inference.postprocess import Rule
from brats_cascade.record.results import Result
from brats_cascade.record.tables import markdown

KINDS = ("flips at test time", "ensemble", "N4 bias correction")


def helps_lines(results: Sequence[Result], *, measured: Mapping[bool, Mapping[str, Any]]) -> list[str]:
    """The table, and what is missing in it.

    Args:
        results: The experiments; their summaries hold post-processing with and without.
        measured: Ingested with N4 or not -> what `pipelines/helps.py` wrote: "n4", "cases", "bare" (experiment -> mean
            validation Dice) and "rows" (what, of, without, with).

    Returns:
        Markdown.
    """
    rows = []
    for one in results:
        held, rule = one.summary["validation"], Rule(**one.summary["postprocess"])
        rows.append((f"post-processing ({rule})", one.name, held["dice_without"], held["dice"]))
    # Flips and ensemble of the cohort as the page's networks saw it; N4 needs both.
    own = measured.get(bool(results[0].run["n4"])) or next(iter(measured.values()), {})
    rows += [(row["what"], row["of"], row["without"], row["with"]) for row in own.get("rows", ())]
    plain, corrected = (measured.get(n4, {}).get("bare", {}) for n4 in (False, True))
    rows += [(KINDS[2], name, plain[name], corrected[name]) for name in plain if name in corrected]
    head = ["with and without", "experiment", "without", "with", "difference"]
    table = [[what, of, f"{a:.3f}", f"{b:.3f}", f"{b - a:+.3f}"] for what, of, a, b in rows]
    missing = [kind for kind in KINDS if kind not in {row[0] for row in rows}]
    count = results[0].summary["validation"].get("cases")
    cases = f"{count} validation case{'' if count == 1 else 's'}" if count else "the validation cases"
    lines = [
        f"Mean Dice over the regions and {cases}; the test patients have no say. Of so few cases small differences mean "
        "nothing.",
        "",
        *markdown([head, *table]),
    ]
    return [*lines, "", f"Not measured: {', '.join(missing)}."] if missing else lines
