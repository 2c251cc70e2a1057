"""The output folders of commands: none that `dvc repro` writes, where DVC would find changes and run stages again."""

from pathlib import Path

from brats_cascade.commands.wheel import PARAMS
from brats_cascade.errors import UserError
from brats_cascade.project import Project


def refuse_pipeline_folders(*folders: Path | None) -> None:
    """Refuses output folders inside those of the project in the current folder, if there is one.

    Raises:
        UserError: `dvc repro` writes there.
    """
    if not Path(PARAMS).is_file():
        return
    own = Project()
    written = own.phantom, own.volumes, own.patches, own.models, own.metrics, own.reports, own.segmentations, own.work
    for folder in filter(None, folders):
        for other in written:
            if folder.resolve().is_relative_to(other.resolve()):
                raise UserError(f"{folder}: `dvc repro` writes {other} itself; choose another folder, such as out")
