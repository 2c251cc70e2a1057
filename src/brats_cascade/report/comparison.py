"""All experiments side by side: reports/comparison.json."""

from collections.abc import Mapping
from typing import Any

from brats_cascade.labels import REGIONS

COMPARED = ("dice", "dice_low", "dice_high", "ppv", "sensitivity", "hd95")


def comparison(
    summaries: Mapping[str, Mapping[str, Any]],
    *,
    baseline: Mapping[str, Any] | None = None,
    best: str | None = None,
    paired: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Gathers the numbers that compare experiments.

    Args:
        summaries: Experiment -> metrics/E/summary.json as read.
        baseline: From `baseline.baseline_summary`.
        best: The best on validation of these experiments, by `tracking.champion.best`.
        paired: From `paired.against`: the best against each of the others.

    Returns:
        `{"experiments": {E: {region: {dice, dice_low, dice_high, ppv, sensitivity, hd95, dice_without_postprocess},
        "patients": n, "validation_dice": d, "validation_dice_without_postprocess": d}}, "baseline": {...},
        "best": E, "best_minus": {other E: {region: {patients, difference, low, high, p}}}}`; each
        entry only where there is one.
    """
    gathered: dict[str, Any] = {"experiments": {}}
    for name, summary in summaries.items():
        rows: dict[str, Any] = {
            region: {key: summary[region][key] for key in COMPARED if key in summary[region]} for region in REGIONS
        }
        for region, bare in summary.get("without_postprocess", {}).items():
            rows[region]["dice_without_postprocess"] = bare["dice"]
        if "validation" in summary:
            rows["validation_dice"] = summary["validation"]["dice"]
            rows["validation_dice_without_postprocess"] = summary["validation"]["dice_without"]
        gathered["experiments"][name] = {**rows, "patients": summary["patients"]}
    if baseline is not None:
        gathered["baseline"] = dict(baseline)
    if best is not None:
        gathered["best"] = best
    if paired:
        gathered["best_minus"] = dict(paired)
    return gathered
