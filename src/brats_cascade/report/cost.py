"""The cost of segmenting a test case (time, CPU time, memory, energy), and of training, next to the score."""

from collections.abc import Mapping
from typing import Any

from brats_cascade.metering import CPU, ENERGY, GPU, SECONDS

# Heading -> the key of an experiment's `cost` in reports/comparison.json (`costs.cost_of`), its factor and its form.
COLUMNS = {
    "s per case": (SECONDS, 1, ".2f"),
    "CPU s": (CPU, 1, ".2f"),
    "GPU s": (GPU, 1, ".2f"),
    "energy, J": (ENERGY, 1, ".0f"),
    "memory, GB": ("peak_memory_mb", 0.001, ".2f"),
    "Dice per min": ("dice_per_minute", 1, ".2f"),
    "training, s": ("training_seconds", 1, ".0f"),
    "training, CPU s": ("training_cpu_seconds", 1, ".0f"),
}
NOTE = (
    "Mean cost of segmenting a test case, without reading and writing files. CPU s: sum over all cores; memory: peak of the "
    "process; Dice per min: complete Dice per minute of segmentation. Training: steps and validation "
    "rounds; for a cascade, including those of its CNN 1. Values that were not measured for all are omitted."
)


def cost_table(experiments: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Header and one row per experiment, from `experiments` of reports/comparison.json; empty if nothing was measured.

    A column is shown if it was measured for all experiments whose segmentation, or training, was timed.
    """
    costs = {name: entry.get("cost", {}) for name, entry in experiments.items()}

    def holds(key: str) -> bool:
        timed = "training_seconds" if key.startswith("training") else SECONDS
        known = [key in cost for cost in costs.values() if timed in cost]
        return bool(known) and all(known)

    shown = {head: form for head, form in COLUMNS.items() if holds(form[0])}
    if not shown:
        return []
    rows = [["", "complete Dice", *shown]]
    for name, cost in costs.items():
        cells = [format(cost[key] * factor, form) if key in cost else "" for key, factor, form in shown.values()]
        rows.append([name, f"{experiments[name]['complete']['dice']:.3f}", *cells])
    return rows


def cost_note(experiments: Mapping[str, Mapping[str, Any]]) -> str:
    """What the columns are, and on which machines they were measured."""
    ran: dict[str, list[str]] = {}
    for name, entry in experiments.items():
        if machines := entry.get("cost", {}).get("machines"):
            ran.setdefault(" and ".join(machines), []).append(name)
    if len(ran) < 2:
        return " ".join([NOTE, *(f"Measured on {machine}." for machine in ran)])
    where = "; ".join(f"{machine} ({', '.join(names)})" for machine, names in ran.items())
    return f"{NOTE} Measured on different machines, whose times are not comparable: {where}."
