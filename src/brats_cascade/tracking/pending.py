"""What MLflow has not been told yet: small notes in .work/runs, each kept until a later command has told it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brats_cascade.costs import weights_of
from brats_cascade.project import Project, read_state
from brats_cascade.shared import write_json
from brats_cascade.tracking.store import project_root

CHAMPION = ".champion"  # no name of an experiment


def keep_pending(name: str, content: Mapping[str, Any], *, root: Path) -> None:
    """Notes the evaluation of an experiment's network, or CHAMPION."""
    write_json(_path(name, root=root), content)


def read_pending(name: str, *, root: Path) -> dict[str, Any] | None:
    """The note; None if there is none."""
    return read_state(_path(name, root=root))


def forget_pending(name: str, *, root: Path) -> None:
    """Removes the note."""
    _path(name, root=root).unlink(missing_ok=True)


def _path(name: str, *, root: Path) -> Path:
    """By experiment and network, for the points of a DVC queue share this folder."""
    folder = Project(project_root(root)).work / "runs"
    if name == CHAMPION:
        return folder / f"{name}.json"
    return folder / name / f"{weights_of(root, name=name)}.pending.json"
