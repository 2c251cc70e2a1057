"""The options of `brats-cascade predict`, with their help, and what other commands share of them."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from brats_cascade import MAX_GB


def path(text: str) -> Path:
    """A path given on the command line; an empty one, as of a variable that is not set, would be the current folder."""
    if not str(text):
        raise typer.BadParameter("is empty; expected a path, or . for the current folder")
    return Path(text)


PATH: dict[str, Any] = {"parser": path, "metavar": "<path>"}
Out = Annotated[Path, typer.Option(help="Folder for <case>_seg.nii.gz.", **PATH)]
MaxGb = Annotated[
    float, typer.Option("--max-gb", min=0, help="Refuse a case that would take more memory than this, gigabytes.")
]


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """What is done with every case, a field per option; it travels to the processes that do it."""

    out: Out
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A folder models/EXPERIMENT or an MLflow URI (models:/brats-cascade@champion, runs:/...); "
            "several are averaged. Default: the champion."
        ),
    ] = None
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write the probability of every label.")
    ] = False
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Also write the entropy of the probabilities, nats.")
    ] = False
    overlay: Annotated[bool, typer.Option("--overlay", help="Also draw <case>_overlay.png.")] = False
    montage: Annotated[bool, typer.Option("--montage", help="Also draw <case>_montage.png.")] = False
    flips: Annotated[
        bool | None,
        typer.Option("--flips/--no-flips", help="Average with the mirror image [default: as the model was evaluated]."),
    ] = None
    precision: Annotated[str, typer.Option(help="float32 or bfloat16 (twice as fast on recent processors).")] = (
        "float32"
    )
    slices: Annotated[int, typer.Option(min=1, help="Slices computed at once; bounds the memory.")] = 4
    min_component: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Remove tumour components smaller than this, mm3; below 1: share of the largest (default: chosen on "
            "validation).",
        ),
    ] = None
    skull_distance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Remove flat components nearer to the brain's edge than this, mm (default: chosen on validation).",
        ),
    ] = None
    flatness: Annotated[
        float | None,
        typer.Option(
            min=0, help="What counts as flat: thickness over width below this (default: chosen on validation)."
        ),
    ] = None
    skull_volume: Annotated[
        float | None,
        typer.Option(
            min=0, help="Flat components near the edge go below this size, mm3 (default: chosen on validation)."
        ),
    ] = None
    operating_point: Annotated[
        float | None,
        typer.Option(help="Added to the score of non-tumour: below 0 more is tumour (default: chosen on validation)."),
    ] = None
    allow_merged: Annotated[
        bool, typer.Option("--allow-merged", help="Accept a model that knows fewer labels than the case's release.")
    ] = False
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Refuse a case that differs from the model's training data, or that the model was trained on.",
        ),
    ] = False
    scheme: Annotated[
        str,
        typer.Option(
            help="Label numbers of the files: auto (the release's), five, edema-core, merged, merged-2023 or decathlon."
        ),
    ] = "auto"
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Segment again what predict has written to --out already.")
    ] = False
    workers: Annotated[int, typer.Option(min=1, help="Processes of this machine, each with its own networks.")] = 1
    scheduler: Annotated[str, typer.Option(help="Address of a Dask scheduler (extra: cluster).")] = ""
    max_gb: MaxGb = MAX_GB
    form: Annotated[
        str,
        typer.Option(
            "--format", help="nifti, or dicom-seg: also <case>_seg.dcm, for cases read from DICOM (extra: dicom)."
        ),
    ] = "nifti"
    bids: Annotated[
        Path | None, typer.Option(help="Also copy to this folder, named as BIDS derivatives (_dseg).", **PATH)
    ] = None
    colours: Annotated[
        bool, typer.Option("--colours", help="Also write the labels' colours for ITK-SNAP and 3D Slicer.")
    ] = False

    @property
    def kinds(self) -> list[str]:
        """What to write, keys of `inference.finished.KINDS`."""
        return [
            "seg",
            *(kind for kind in ("probabilities", "uncertainty", "overlay", "montage") if getattr(self, kind)),
        ]

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Those that are given of the attributes of `Thresholds`."""
        names = ("min_component", "skull_distance", "flatness", "skull_volume", "operating_point")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def taking(options: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command an option for every field of a dataclass, in place of its last parameter, `**given`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command)
        parameters = [*own.parameters.values()][:-1]
        parameters += inspect.signature(options).parameters.values()
        command.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # what typer reads
        return command

    return decorate
