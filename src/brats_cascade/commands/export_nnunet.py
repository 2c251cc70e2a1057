"""brats-cascade export-nnunet: writes the project's cases and split in nnU-Net's format."""

from pathlib import Path
from typing import Annotated

import typer

from brats_cascade.commands.options import PATH


def run(
    out: Annotated[Path, typer.Option(help="Folder for nnUNet_raw and nnUNet_preprocessed.", **PATH)],
    dataset: Annotated[int, typer.Option(min=11, max=999, help="Number of the data set in nnU-Net.")] = 501,
    regions: Annotated[
        bool, typer.Option("--regions/--classes", help="Train on the BraTS regions, or on single labels.")
    ] = True,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Write the project's cases for nnU-Net, with the same training, validation and test sets."""
    from brats_cascade.commands.nnunet import export
    from brats_cascade.params import load_params
    from brats_cascade.project import Project

    typer.echo(export(Project(), data=load_params().data, out=out, dataset=dataset, regions=regions, workers=workers))
