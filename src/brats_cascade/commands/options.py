"""The options of `brats-cascade predict`, with their help, and what other commands share of them."""

from pathlib import Path
from typing import Annotated, Any

import typer


def path(text: str) -> Path:
    """A path given on the command line; an empty one, as of a variable that is not set, would be the current folder."""
    if not str(text):
        raise typer.BadParameter("is empty; expected a path, or . for the current folder")
    return Path(text)


PATH: dict[str, Any] = {"parser": path, "metavar": "PATH"}

Cases = Annotated[
    list[Path],
    typer.Argument(help="Folders of cases, or folders that hold several.", parser=path, metavar="CASE_DIR..."),
]
Out = Annotated[Path, typer.Option(help="Folder for <case>_seg.nii.gz.", **PATH)]
Model = Annotated[
    list[str] | None,
    typer.Option(
        help="A folder models/EXPERIMENT or an MLflow URI (models:/brats-cascade@champion, runs:/...); "
        "several are averaged. Default: the champion."
    ),
]
Probabilities = Annotated[bool, typer.Option("--probabilities", help="Also write the probability of every label.")]
Uncertainty = Annotated[bool, typer.Option("--uncertainty", help="Also write the entropy of the probabilities, nats.")]
Overlay = Annotated[bool, typer.Option("--overlay", help="Also draw <case>_overlay.png.")]
Montage = Annotated[bool, typer.Option("--montage", help="Also draw <case>_montage.png.")]
Flips = Annotated[
    bool | None,
    typer.Option("--flips/--no-flips", help="Average with the mirror image [default: as the model was evaluated]."),
]
Precision = Annotated[str, typer.Option(help="float32 or bfloat16 (twice as fast on recent processors).")]
Slices = Annotated[int, typer.Option(min=1, help="Slices computed at once; bounds the memory.")]
MinComponent = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Remove tumour components smaller than this, mm3; below 1: share of the largest (default: chosen on "
        "validation).",
    ),
]
SkullDistance = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Remove flat components nearer to the brain's edge than this, mm (default: chosen on validation).",
    ),
]
Flatness = Annotated[
    float | None,
    typer.Option(min=0, help="What counts as flat: thickness over width below this (default: chosen on validation)."),
]
SkullVolume = Annotated[
    float | None,
    typer.Option(min=0, help="Flat components near the edge go below this size, mm3 (default: chosen on validation)."),
]
OperatingPoint = Annotated[
    float | None,
    typer.Option(help="Added to the score of non-tumour: below 0 more is tumour (default: chosen on validation)."),
]
AllowMerged = Annotated[
    bool, typer.Option("--allow-merged", help="Accept a model that knows fewer labels than the case's release.")
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse a case that differs from the model's training data, or that the model was trained on.",
    ),
]
Scheme = Annotated[
    str,
    typer.Option(
        help="Label numbers of the files: auto (the release's), five, edema-core, merged, merged-2023 or decathlon."
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Segment again what predict has written to --out already.")
]
Workers = Annotated[int, typer.Option(min=1, help="Processes of this machine, each with its own networks.")]
MaxGb = Annotated[
    float, typer.Option("--max-gb", min=0, help="Refuse a case that would take more memory than this, gigabytes.")
]
Scheduler = Annotated[str, typer.Option(help="Address of a Dask scheduler (extra: cluster).")]
Format = Annotated[
    str,
    typer.Option(
        "--format", help="nifti, or dicom-seg: also <case>_seg.dcm, for cases read from DICOM (extra: dicom)."
    ),
]
Bids = Annotated[Path | None, typer.Option(help="Also copy to this folder, named as BIDS derivatives (_dseg).", **PATH)]
Colours = Annotated[bool, typer.Option("--colours", help="Also write the labels' colours for ITK-SNAP and 3D Slicer.")]
