"""Small notes in .work/runs, in neither git nor DVC: which run a network has, and what MLflow has not been told yet.

They lie by experiment and network: the points of a DVC queue run in folders of their own, and share these notes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brats_cascade.costs import weights_of
from brats_cascade.project import Project, read_state
from brats_cascade.shared import write_json
from brats_cascade.tracking.store import project_root

CHAMPION = ".champion"  # no name of an experiment


def keep_note(name: str, *, run_id: str, logged: bool, root: Path | None = None) -> None:
    """Notes the run of the network that lies in models/E.

    `run_id` is "" if MLflow could not be reached; where not everything is `logged`, evaluation logs it again.
    """
    write_json(_place(name, root=root, ending=".json"), {"run_id": run_id, "logged": logged})


def read_note(name: str, *, root: Path | None = None) -> dict[str, Any]:
    """The note: `run_id` and `logged`; "" and False where there is none, as after `dvc pull` on another machine."""
    return {"run_id": "", "logged": False, **(read_state(_place(name, root=root, ending=".json")) or {})}


def keep_pending(name: str, content: Mapping[str, Any], *, root: Path) -> None:
    """Notes that MLflow is to be told of the evaluation of an experiment's network, or of the CHAMPION."""
    write_json(_pending(name, root=root), content)


def read_pending(name: str, *, root: Path) -> dict[str, Any] | None:
    """What MLflow has not been told; None if it knows all."""
    return read_state(_pending(name, root=root))


def forget_pending(name: str, *, root: Path) -> None:
    """Removes the note, once MLflow has been told."""
    _pending(name, root=root).unlink(missing_ok=True)


def _pending(name: str, *, root: Path) -> Path:
    if name == CHAMPION:
        return Project(project_root(root)).work / "runs" / f"{CHAMPION}.json"
    return _place(name, root=root, ending=".pending.json")


def _place(name: str, *, root: Path | None, ending: str) -> Path:
    return Project(project_root(root)).work / "runs" / name / f"{weights_of(root or Path(), name=name)}{ending}"
