"""Reads how a model was evaluated, from files next to it."""

import json
from pathlib import Path
from typing import NamedTuple

from brats_cascade.inference.postprocess import Thresholds

SCORES = "scores.json"


class Chosen(NamedTuple):
    """How a model was evaluated: the post-processing chosen on validation, and whether it averaged mirrored images."""

    thresholds: Thresholds
    flips: bool


def read_chosen(folder: Path) -> Chosen | None:
    """Reads it from the model's folder (a registered model) or its project's metrics/E/summary.json; None without either."""
    for path in (folder / SCORES, folder.parent.parent / "metrics" / folder.name / "summary.json"):
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            rule = dict(summary["postprocess"])
            if not rule["skull_distance"]:
                # Limits of an unused rule are stored as 0; with a distance that is given in use the usual ones apply.
                rule = {name: value for name, value in rule.items() if name not in ("flatness", "skull_volume")}
            return Chosen(Thresholds(**rule), flips=bool(summary.get("flips")))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
