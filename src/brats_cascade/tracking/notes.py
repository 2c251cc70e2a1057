"""Which MLflow run trained a network: one small file per network in .work/runs, in neither git nor DVC."""

import json
from pathlib import Path
from typing import Any

from brats_cascade.costs import weights_of
from brats_cascade.tracking.store import project_root


def keep_note(name: str, *, run_id: str, logged: bool, root: Path | None = None) -> None:
    """Notes the run of the network that lies in models/E.

    Args:
        name: The experiment.
        run_id: MLflow's id; "" if it could not be reached.
        logged: Whether the run has everything; if not, evaluation logs it again.
        root: The project's folder; the current one by default.
    """
    path = _path(name, models=root or Path(), notes=root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"run_id": run_id, "logged": logged}) + "\n", encoding="utf-8")


def read_note(name: str, *, root: Path | None = None, notes: Path | None = None) -> dict[str, Any]:
    """The run of the network that lies in models/E.

    Args:
        name: The experiment.
        root: The project's folder; the current one by default.
        notes: The folder whose .work holds the notes, where it is another one.

    Returns:
        `run_id` and `logged`; "" and False where nothing is noted, as after `dvc pull` on another machine.
    """
    try:
        return dict(json.loads(_path(name, models=root or Path(), notes=notes or root).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {"run_id": "", "logged": False}


def _path(name: str, *, models: Path, notes: Path | None) -> Path:
    """By experiment and network: the points of a DVC queue run in folders of their own, and share these notes."""
    return project_root(notes) / ".work/runs" / name / f"{weights_of(models, name=name)}.json"
