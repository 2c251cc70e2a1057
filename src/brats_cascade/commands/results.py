"""brats-cascade results: the last comparison as a table."""

import json
from pathlib import Path

from brats_cascade.errors import UserError
from brats_cascade.evaluation.comparison import text_table


def run(root: Path) -> str:
    """The table of metrics/comparison.json and where to look next.

    Args:
        root: The project's root.

    Returns:
        Several lines.

    Raises:
        UserError: Nothing has been compared yet.
    """
    path = root / "metrics" / "comparison.json"
    if not path.is_file():
        raise UserError(f"{path}: not found; run `make repro` (or `dvc repro`) first, in the project's root")
    return text_table(json.loads(path.read_text(encoding="utf-8")))
