"""How evaluation used a model, as files beside it say."""

import json
from pathlib import Path
from typing import NamedTuple

from brats_cascade.inference.postprocess import Thresholds

SCORES = "scores.json"


class Chosen(NamedTuple):
    """How a model was evaluated: the post-processing chosen on the validation cases, and whether it averaged mirror images."""

    thresholds: Thresholds
    flips: bool


def read_chosen(folder: Path) -> Chosen | None:
    """Reads it from the model's own folder (a registered model) or from metrics/E/summary.json of its project; None without."""
    for path in (folder / SCORES, folder.parent.parent / "metrics" / folder.name / "summary.json"):
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            return Chosen(Thresholds(**summary["postprocess"]), flips=bool(summary.get("flips")))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
