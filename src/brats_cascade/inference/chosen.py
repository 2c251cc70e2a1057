"""The post-processing that evaluation chose for a model, found beside it."""

import json
from pathlib import Path

from brats_cascade.inference.postprocess import Rule

SCORES = "scores.json"


def read_rule(folder: Path) -> Rule | None:
    """Reads the rule from the model's own folder (a registered model) or from metrics/E/summary.json of its project.

    Args:
        folder: That of model.keras, absolute.

    Returns:
        The rule, or None where there is no record of one.
    """
    for path in (folder / SCORES, folder.parent.parent / "metrics" / folder.name / "summary.json"):
        try:
            return Rule(**json.loads(path.read_text(encoding="utf-8"))["postprocess"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
