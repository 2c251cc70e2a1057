"""brats-cascade view: writes offline pages for scrolling through cases in a browser."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from brats_cascade import MAX_GB
from brats_cascade.commands.options import OUTPUT, PATH, MaxGb, path
from brats_cascade.errors import UserError

if TYPE_CHECKING:
    from brats_cascade.report.scene import Scene


def run(
    case: Annotated[
        Path,
        Argument(
            help="A folder or listing of any supported release, with one case or several; or a case of data/volumes, by "
            "name or folder.",
            parser=path,
            metavar="CASE",
        ),
    ],
    prediction: Annotated[
        Path | None,
        Option(help="A segmentation of the case, or a folder of segmentations.", **PATH),
    ] = None,
    out: Annotated[
        Path | None,
        Option(help="Output .html file; for several cases a folder (default: out/CASE.html or out/cases).", **OUTPUT),
    ] = None,
    max_gb: MaxGb = MAX_GB,
) -> None:
    """Write offline pages for scrolling through cases, with ground truth and predictions."""
    from brats_cascade.project import Project
    from brats_cascade.report.look import find_sources, match_predictions, scene_of
    from brats_cascade.report.viewer import viewer_page, write_cases
    from brats_cascade.shared import write_text

    sources = find_sources(case, store=Project().volumes)
    predictions = match_predictions(prediction, sources=sources) if prediction else {}
    place = _place(out, names=list(sources))

    def read(name: str) -> "Scene":
        return scene_of(name, sources[name], prediction=predictions.get(name), max_gb=max_gb)

    failed: list[str] = []
    if len(sources) > 1:
        scenes = _readable(list(sources), read=read, folder=place, failed=failed)
        place = write_cases(place, scenes, title=f"Cases of {case.resolve().name}")
    else:
        page = viewer_page(read(*sources))
        write_text(place, page)
    typer.echo(str(place))
    raise typer.Exit(min(1, len(failed)))


def _readable(
    names: Sequence[str], *, read: Callable[[str], "Scene"], folder: Path, failed: list[str]
) -> Iterator["Scene"]:
    """The cases that can be shown; the names of the others are added to `failed`."""
    for name in names:
        try:
            scene = read(name)
        except UserError as error:
            failed.append(name)
            print(f"error: {error}", file=sys.stderr)
            continue
        yield scene
    if len(failed) == len(names):
        raise UserError(f"{folder}: not written: none of the {len(names)} cases can be shown, for the reasons above")


def _place(out: Path | None, *, names: Sequence[str]) -> Path:
    """The output path: a file for one case, a folder for several."""
    if len(names) > 1:
        if out is not None and out.suffix == ".html":
            raise UserError(
                f"--out {out}: expected a folder for the pages of {len(names)} cases, got the name of a file"
            )
        return out or Path("out/cases")
    if out is not None and out.suffix != ".html":
        raise UserError(f"--out {out}: expected a name ending in .html, got {out.suffix or 'none'}")
    return out or Path("out", f"{names[0]}.html")
