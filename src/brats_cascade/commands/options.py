"""The options of `brats-cascade predict`, and options that several commands share."""

import errno
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from brats_cascade import MAX_GB
from brats_cascade.commands.wheel import PARAMS
from brats_cascade.errors import UserError
from brats_cascade.project import Project


def path(text: str) -> Path:
    """A path from the command line.

    Refuses an empty one (an unset shell variable, for example), which would mean the current folder, and a loop of links.
    """
    if not str(text):
        raise typer.BadParameter("is empty; expected a path, or . for the current folder")
    try:
        Path(text).stat()
    except OSError as error:
        if error.errno == errno.ELOOP:  # Path.resolve has a traceback for it
            raise typer.BadParameter(f"{text}: the links in this path form a loop; give another path") from None
    return Path(text)


def output_path(text: str) -> Path:
    """A path that a command writes to: as `path`, but nothing in the folders that `dvc repro` writes.

    There, DVC would find changes, and the next `dvc repro` would delete them.

    Raises:
        UserError: The path is in such a folder of the project in the current folder.
    """
    found, own = path(text), Project()
    written = own.phantom, own.volumes, own.patches, own.models, own.metrics, own.reports, own.segmentations, own.work
    for folder in written if Path(PARAMS).is_file() else ():
        if found.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{found}: `dvc repro` writes {folder} itself; choose another path, such as out")
    return found


PATH: dict[str, Any] = {"parser": path, "metavar": "<path>"}
OUTPUT: dict[str, Any] = {**PATH, "parser": output_path}
FLAG: dict[str, Any] = {"metavar": ""}  # without it, help shows <bool>, as if the option took a value
Out = Annotated[Path, Option(help="Output folder for <case>_seg.nii.gz.", **OUTPUT)]
MaxGb = Annotated[float, Option("--max-gb", min=0, help="Refuse cases that need more memory than this, gigabytes.")]


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """The options, one field each; passed to worker processes."""

    out: Out
    model: Annotated[
        list[str] | None,
        Option(
            help="A folder models/EXPERIMENT, or an MLflow URI (models:/brats-cascade@champion, runs:/...); "
            "several models are averaged (default: the champion)."
        ),
    ] = None
    probabilities: Annotated[
        bool, Option("--probabilities", help="Also write the probability of each label.", **FLAG)
    ] = False
    uncertainty: Annotated[
        bool, Option("--uncertainty", help="Also write the entropy of the probabilities (nats).", **FLAG)
    ] = False
    overlay: Annotated[bool, Option("--overlay", help="Also write <case>_overlay.png.", **FLAG)] = False
    montage: Annotated[bool, Option("--montage", help="Also write <case>_montage.png.", **FLAG)] = False
    flips: Annotated[
        bool | None,
        Option(
            "--flips/--no-flips", help="Average with the mirrored image (default: as the model was evaluated).", **FLAG
        ),
    ] = None
    precision: Annotated[
        str, Option(help="float32, bfloat16 (twice as fast on recent CPUs), or auto: bfloat16 if this device has it.")
    ] = "float32"
    slices: Annotated[int, Option(min=1, help="Slices per batch; lower it to save memory.")] = 4
    min_component: Annotated[
        float | None,
        Option(
            min=0,
            help="Remove tumour components smaller than this, mm3; below 1: a share of the largest (default: tuned on "
            "validation).",
        ),
    ] = None
    skull_distance: Annotated[
        float | None,
        Option(
            min=0,
            help="Remove flat components closer to the brain's edge than this, mm (default: tuned on validation).",
        ),
    ] = None
    flatness: Annotated[
        float | None,
        Option(
            min=0, help="A component is flat if its thickness over width is below this (default: tuned on validation)."
        ),
    ] = None
    skull_volume: Annotated[
        float | None,
        Option(min=0, help="Remove only flat components smaller than this, mm3 (default: tuned on validation)."),
    ] = None
    inner_component: Annotated[
        float | None,
        Option(
            min=0,
            help="Relabel components of core and enhancing tumour smaller than this, mm3; below 1: a share of the largest "
            "(default: tuned on validation).",
        ),
    ] = None
    operating_point: Annotated[
        float | None,
        Option(help="Added to the score of non-tumour; below 0, more is tumour (default: tuned on validation)."),
    ] = None
    allow_merged: Annotated[
        bool, Option("--allow-merged", help="Accept a four-class model for a case of a five-label release.", **FLAG)
    ] = False
    strict: Annotated[
        bool,
        Option(
            "--strict",
            help="Refuse cases that differ from the training data, or that the model was trained on.",
            **FLAG,
        ),
    ] = False
    scheme: Annotated[
        str,
        Option(
            help="Label scheme of the output: auto (the release's), five, edema-core, merged, merged-2023 or decathlon."
        ),
    ] = "auto"
    overwrite: Annotated[bool, Option("--overwrite", help="Segment finished cases in --out again.", **FLAG)] = False
    workers: Annotated[int, Option(min=1, help="Number of local processes, each with its own networks.")] = 1
    scheduler: Annotated[str, Option(help="Address of a Dask scheduler (extra: cluster).")] = ""
    max_gb: MaxGb = MAX_GB
    form: Annotated[
        str,
        Option(
            "--format", help="nifti; or dicom-seg: also write <case>_seg.dcm for cases read from DICOM (extra: dicom)."
        ),
    ] = "nifti"
    bids: Annotated[
        Path | None, Option(help="Also copy segmentations to this folder, as BIDS derivatives (_dseg).", **OUTPUT)
    ] = None
    colours: Annotated[
        bool, Option("--colours", help="Also write label colours for ITK-SNAP and 3D Slicer.", **FLAG)
    ] = False

    @property
    def kinds(self) -> list[str]:
        """The files to write, keys of `inference.volumes.KINDS`."""
        return [
            "seg",
            *(kind for kind in ("probabilities", "uncertainty", "overlay", "montage") if getattr(self, kind)),
        ]

    @property
    def thresholds(self) -> Mapping[str, float]:
        """The attributes of `Thresholds` that were given."""
        from brats_cascade.inference.postprocess import THRESHOLDS

        return {name: getattr(self, name) for name in THRESHOLDS if getattr(self, name) is not None}


def taking(options: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replaces a command's last parameter, `**given`, by one option for every field of a dataclass."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command)
        parameters = [*own.parameters.values()][:-1]
        parameters += inspect.signature(options).parameters.values()
        command.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # what typer reads
        return command

    return decorate
