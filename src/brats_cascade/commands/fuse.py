"""brats-cascade fuse: several segmentations of the same cases become one."""

from pathlib import Path
from typing import Annotated

import typer


def run(
    folders: Annotated[list[Path], typer.Argument(help="Two or more folders of segmentations.", metavar="FOLDER...")],
    out: Annotated[Path, typer.Option(help="Folder for <case>_seg.nii.gz.")],
    method: Annotated[str, typer.Option(help="staple (weighs each folder by its agreement) or majority.")] = "staple",
    scheme: Annotated[str, typer.Option(help="Label numbers of files that do not name theirs, as in evaluate.")] = "",
) -> None:
    """Fuse segmentations by STAPLE or majority; ties go to the most frequent label, then to the folder named first."""
    from brats_cascade.commands.fusion import fuse

    raise typer.Exit(min(1, fuse(folders, out=out, method=method, scheme=scheme)))
