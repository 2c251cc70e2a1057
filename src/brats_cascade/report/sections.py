"""Sections of the report that look at all experiments at once: nine slices, ablation, post-processing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from brats_cascade.evaluation.paired import against, in_short
from brats_cascade.evaluation.slices import EARLIER_WORK_COLUMN
from brats_cascade.inference.postprocess import Rule
from brats_cascade.report.ablation import Experiment, answers, tumour_calls
from brats_cascade.report.embed import missing


def nine_slices_table(done: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The earlier work's nine slices: through the largest tumour among the unseen cases, the same for all experiments."""
    tables = {part["name"]: part["nine_slices"] for part in done if part["nine_slices"] is not None}
    if not tables:
        return None
    first = next(iter(tables.values()))
    numbers = first["slice"].tolist()
    rows = []
    for name, table in tables.items():
        nine = table.set_index("slice").reindex(numbers)
        entry = {"name": name, "true": [three(value) for value in nine["complete_f1"]]}
        rows.append(entry | {"agreement": [three(value) for value in nine[EARLIER_WORK_COLUMN]]})
    return {"case": str(first["case"].iloc[0]), "slices": numbers, "rows": rows}


def ablation_section(done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Questions with their answers, and whether a model without weights or normalisation always says non-tumour."""
    known = [
        Experiment.of(part["name"], run=part["run"], cases=part["cases"])
        for part in done
        if part["cases"] is not None and part["run"]
    ]
    return {"answers": answers(known), "calls": tumour_calls(known)}


def paired_section(name: str | None, *, done: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The champion against each of the others."""
    tables = {part["name"]: part["cases"] for part in done if part["cases"] is not None}
    if name is None or name not in tables or len(tables) < 2:
        return []
    return [
        {"other": other, **{region: in_short(numbers) for region, numbers in regions.items()}}
        for other, regions in against(name, tables=tables).items()
    ]


def postprocess_section(done: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What the rule chosen on validation does, there and on the unseen cases."""
    rows = []
    for part in done:
        summary = part["summary"]
        if "postprocess" not in summary:
            continue
        held, bare = summary["validation"], summary["without_postprocess"]
        rows.append(
            {
                "name": part["name"],
                "rule": str(Rule(**summary["postprocess"])),
                "validation": f"{held['dice_without']:.3f} → {held['dice']:.3f}",
                "complete": f"{bare['complete']['dice']:.3f} → {summary['complete']['dice']:.3f}",
                "hd95": f"{bare['complete']['hd95']:.1f} → {summary['complete']['hd95']:.1f}",
            }
        )
    return rows


def duration(seconds: float) -> str:
    """Seconds, or minutes from two of them on."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def three(value: float) -> str:
    """Three decimals, or a dash."""
    return "-" if missing(value) else f"{value:.3f}"
