"""Notes in .work/runs, in neither git nor DVC: the MLflow run of a network, and what has not been logged yet.

They are stored by experiment and network, and shared by the experiments of a DVC queue, which run in separate folders.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brats_cascade.costs import weights_of
from brats_cascade.project import Project, read_state
from brats_cascade.shared import write_json
from brats_cascade.tracking.store import project_root

CHAMPION = ".champion"  # not a possible name of an experiment


def keep_note(name: str, *, run_id: str, logged: bool, root: Path | None = None) -> None:
    """Notes the run of the network in models/E.

    `run_id` is "" if MLflow could not be reached. If not everything is `logged`, evaluation logs it again.
    """
    write_json(_place(name, root=root, ending=".json"), {"run_id": run_id, "logged": logged})


def read_note(name: str, *, root: Path | None = None) -> dict[str, Any]:
    """The note: `run_id` and `logged`; "" and False if there is none, as after `dvc pull` on another machine."""
    return {"run_id": "", "logged": False, **(read_state(_place(name, root=root, ending=".json")) or {})}


def keep_pending(name: str, content: Mapping[str, Any], *, root: Path) -> None:
    """Notes that the evaluation of an experiment's network, or the CHAMPION, is to be logged."""
    write_json(_pending(name, root=root), content)


def read_pending(name: str, *, root: Path) -> dict[str, Any] | None:
    """What has not been logged to MLflow; None if nothing is missing."""
    return read_state(_pending(name, root=root))


def forget_pending(name: str, *, root: Path) -> None:
    """Deletes the note after logging."""
    _pending(name, root=root).unlink(missing_ok=True)


def _pending(name: str, *, root: Path) -> Path:
    if name == CHAMPION:
        return Project(project_root(root)).work / "runs" / f"{CHAMPION}.json"
    return _place(name, root=root, ending=".pending.json")


def _place(name: str, *, root: Path | None, ending: str) -> Path:
    return Project(project_root(root)).work / "runs" / name / f"{weights_of(root or Path(), name=name)}{ending}"
