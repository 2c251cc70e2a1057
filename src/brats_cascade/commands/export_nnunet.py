"""brats-cascade export-nnunet: the project's cases and its own split, as nnU-Net reads them."""

from pathlib import Path
from typing import Annotated

import typer

from brats_cascade.commands.options import PATH


def run(
    out: Annotated[Path, typer.Option(help="Folder for nnUNet_raw and nnUNet_preprocessed.", **PATH)],
    dataset: Annotated[int, typer.Option(min=11, max=999, help="nnU-Net's number of the dataset.")] = 501,
    regions: Annotated[
        bool, typer.Option("--regions/--classes", help="Train on the BraTS regions or single labels.")
    ] = True,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Write the cases of data/splits.json for nnU-Net, training and test sets as they are here; run it in the project."""
    from brats_cascade.commands.nnunet import export
    from brats_cascade.params import load_params
    from brats_cascade.project import Project

    typer.echo(export(Project(), data=load_params().data, out=out, dataset=dataset, regions=regions, workers=workers))
