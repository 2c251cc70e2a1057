"""Makes table rows from the GPU measurements: goals and results, and a comparison of losses."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]
WHOLE = "whole float32"
BUSY = "card busy from the first trial's start to the last one's end"


def loss_rows(found: Sequence[Mapping[str, Any]], *, expected: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Relative differences of trainings' losses on the card to those of the same architecture on the processor."""
    rows, wanted = [], {training["architecture"]: np.array(training["losses"]) for training in expected}
    for training in (training for training in found if training["architecture"] in wanted):
        losses, own = np.array(training["losses"]), wanted[training["architecture"]]
        difference = np.abs(losses - own) / np.abs(own)
        rows.append(
            {
                "network": training["architecture"],
                "arithmetic": WHOLE if training["whole"] else "as shipped: on a GPU products in TF32",
                "steps": len(own),
                "first loss": round(float(losses[0]), 5),
                "last loss": round(float(losses[-1]), 5),
                "relative difference, first step": float(f"{difference[0]:.2g}"),
                "relative difference, largest": float(f"{difference.max():.2g}"),
            }
        )
    return rows


def goal_rows(rows: Sequence[Row]) -> list[Row]:
    """What is to be reached on an H200, and what was."""
    return [
        {"what": what, "to reach": goal, "reached": "not measured" if reached is None else reached}
        for what, goal, reached in _goals(rows)
    ]


def _goals(rows: Sequence[Row]) -> Iterator[tuple[str, str, Any]]:
    case = _find(rows, part="case", network="input_cascade")
    what = (
        f"seconds of the device for one case ({case.get('case', '')}), InputCascadeCNN in {case.get('precision', '')}"
    )
    yield what, "at most 0.5", case.get("device, s")
    for network in ("two_path (CNN 1)", "input_cascade, CNN 2"):
        step = _find(rows, part="step", network=network, variant="as shipped")
        what = f"training step of {network}, share of R in {step.get('precision', '')}"
        yield what, "at least 0.2", step.get("share of R")
    sweep = _find(rows, part="sweep")
    yield f"{BUSY}, %", "over 80", sweep.get(f"{BUSY}, %")
    yield "trials of the sweep, killed once: nothing lost", "yes", sweep.get("nothing lost")
    yield from _forms(rows)
    whole = [row["relative difference, largest"] for row in rows if row.get("arithmetic") == WHOLE]
    yield "losses against the processor's, whole float32, largest difference", "no goal", max(whole, default=None)


def _forms(rows: Sequence[Row]) -> Iterator[tuple[str, str, Any]]:
    """The output layer alone: how many times as long the direct form takes."""
    for what in ("forward", "training step"):
        columns, direct = (_find(rows, part="layer", form=form).get(f"{what}, ms") for form in ("columns", "direct"))
        ratio = round(direct / columns, 2) if columns and direct else None
        yield f"output layer, {what}: direct over columns", "no goal", ratio


def _find(rows: Sequence[Row], **wanted: Any) -> Row:
    """The first row with these values; empty without one."""
    return next((row for row in rows if wanted.items() <= row.items()), {})
