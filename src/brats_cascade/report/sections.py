"""Sections of the report that compare all experiments: nine slices, ablation, post-processing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from brats_cascade.evaluation.paired import against
from brats_cascade.evaluation.slices import EARLIER_WORK_COLUMN
from brats_cascade.inference.postprocess import Thresholds
from brats_cascade.report.ablation import Experiment, collapses, comparisons
from brats_cascade.report.embed import missing


def nine_slices_table(done: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Nine slices through the largest tumour of the test set, the same for all experiments."""
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
    """Pairs of experiments that differ in one setting, and experiments without class weights or regularisation."""
    known = [
        Experiment.of(part["name"], run=part["run"], cases=part["cases"])
        for part in done
        if part["cases"] is not None and part["run"]
    ]
    return {"comparisons": comparisons(known), "collapses": collapses(known)}


def paired_section(name: str | None, *, done: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """The experiment that did best on validation against each of the others."""
    tables = {part["name"]: part["cases"] for part in done if part["cases"] is not None}
    return against(name, tables=tables) if name is not None and name in tables else {}


def postprocess_section(done: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Scores without and with the rule chosen on validation, there and on the test cases."""
    rows = []
    for part in done:
        summary = part["summary"]
        if "postprocess" not in summary:
            continue
        held, bare = summary["validation"], summary["without_postprocess"]
        rows.append(
            {
                "name": part["name"],
                "rule": str(Thresholds(**summary["postprocess"])),
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
