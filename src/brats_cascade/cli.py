"""The command line, brats-cascade. Slow imports are delayed until a command needs them."""

import brats_cascade.interrupted  # noqa: F401, I001 - first
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option
from typer.core import TyperGroup

from brats_cascade import MAX_GB
from brats_cascade.backend import keep_quiet
from brats_cascade.commands import cards, licences, serve, sweep, view
from brats_cascade.commands.options import FLAG, OUTPUT, PATH, MaxGb, Out, PredictOptions, path, taking
from brats_cascade.commands.wheel import ProjectCommand, show_version
from brats_cascade.errors import ending_in_one_line, start_log
from brats_cascade.leaving import leaving

keep_quiet()


class Interruptible(TyperGroup):
    """Ends any command with one line on Ctrl-C, on which Typer prints nothing."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("stopped; finished work is kept, run the same command again to resume", file=sys.stderr)
            raise typer.Exit(130) from None


app = typer.Typer(cls=Interruptible, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(help="Inspect data.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@app.callback()
def start(
    version: Annotated[
        bool, Option("--version", callback=show_version, is_eager=True, help="Print the version.", **FLAG)
    ] = False,
) -> None:
    """Brain tumour segmentation with cascaded two-pathway CNNs (Havaei et al.)."""


@app.command()
@taking(PredictOptions)
def predict(
    cases: Annotated[
        list[Path],
        Argument(help="Case folders, or folders that contain cases.", parser=path, metavar="CASE_DIR"),
    ],
    **given: Any,
) -> None:
    """Segment one or more cases."""
    from brats_cascade.commands.predict import run

    raise typer.Exit(min(1, run(cases, PredictOptions(**given))))


@app.command()
def evaluate(
    truth: Annotated[
        Path,
        Option(help="Ground truth: a folder of cases or of label files, a listing, or one file.", **PATH),
    ],
    prediction: Annotated[Path, Option(help="A folder of segmentations, or one file.", **PATH)],
    out: Annotated[Path, Option(help="Output file: .csv (per case) or .json (also means and intervals).", **OUTPUT)],
    scheme: Annotated[
        str,
        Option(help="Label scheme of the ground truth: auto, five, edema-core, merged, merged-2023 or decathlon."),
    ] = "auto",
    prediction_scheme: Annotated[
        str,
        Option(
            help="Label scheme of the predictions (in --against, of files that name none); auto: the scheme named in the "
            "files, otherwise that of the ground truth."
        ),
    ] = "auto",
    strict: Annotated[
        bool,
        Option(
            "--strict",
            help="Leave out predictions that `predict` marked because the model may not fit the case.",
            **FLAG,
        ),
    ] = False,
    against: Annotated[
        list[Path] | None,
        Option(help="Another folder of predictions to compare with; may be repeated.", **PATH),
    ] = None,
) -> None:
    """Score segmentations from any tool against the ground truth.

    A region that is absent from ground truth and prediction counts as Dice 1 and HD95 0; if it is absent from only one of
    them, as Dice 0 and HD95 373.13 mm.
    """
    from brats_cascade.commands.evaluate import run

    text, failed = run(
        truth, prediction=prediction, out=out, scheme=scheme, prediction_scheme=prediction_scheme, strict=strict,
        against=against or (),
    )  # fmt: skip
    typer.echo(text)
    raise typer.Exit(min(1, failed))


@app.command()
def export(
    model: Annotated[str, Option(help="A folder models/EXPERIMENT, or an MLflow URI.")],
    out: Annotated[Path, Option(help="Folder for the exported network and its model.json.", **OUTPUT)],
    form: Annotated[str, Option("--format", help="keras, saved_model or onnx (extra: onnx).")] = "saved_model",
) -> None:
    """Export a trained network (Keras, SavedModel, ONNX) and verify the export."""
    from brats_cascade.commands.export import run

    typer.echo(str(run(model, out=out, form=form)))


@app.command("export-nnunet", cls=ProjectCommand)
def export_nnunet(
    out: Annotated[Path, Option(help="Folder for nnUNet_raw and nnUNet_preprocessed.", **OUTPUT)],
    dataset: Annotated[int, Option(min=11, max=999, help="Number of the data set in nnU-Net.")] = 501,
    regions: Annotated[
        bool, Option("--regions/--classes", help="Train on the BraTS regions, or on single labels.", **FLAG)
    ] = True,
    workers: Annotated[int, Option(min=1, help="Number of processes.")] = 1,
) -> None:
    """Write the project's cases for nnU-Net, with the same training, validation and test sets."""
    from brats_cascade.commands.nnunet import export
    from brats_cascade.params import load_params
    from brats_cascade.project import Project

    typer.echo(export(Project(), data=load_params().data, out=out, dataset=dataset, regions=regions, workers=workers))


@app.command()
def doctor() -> None:
    """Check the installation: versions, devices, data source, disk space."""
    from brats_cascade.commands.doctor import run

    raise typer.Exit(min(1, run(Path.cwd())))


@app.command(cls=ProjectCommand)
def results(
    costs: Annotated[bool, Option("--costs", help="Show the time and memory of the stages instead.", **FLAG)] = False,
) -> None:
    """Show the results of the last `dvc repro`."""
    from brats_cascade.commands.results import run

    typer.echo(run(Path.cwd(), costs=costs))


@app.command(cls=ProjectCommand)
def repeat() -> None:
    """Summarise the DVC experiments on this commit over seeds and folds, in reports/repeat.csv and .md."""
    from brats_cascade.stages.repeat import repeat as join

    typer.echo(join(Path.cwd()))


@app.command(cls=ProjectCommand)
def record(
    name: Annotated[str, Argument(help="Name of the results: docs/results/NAME.csv, .json and .md.")],
    command: Annotated[str, Option(help="The command that produced the results, for the page.")] = "dvc repro",
    readme: Annotated[
        bool,
        Option(
            "--readme",
            help="Also update the table of these results in README.md, between the marks results-NAME.",
            **FLAG,
        ),
    ] = False,
    kept: Annotated[bool, Option("--kept", help="Only regenerate the page, from stored results.", **FLAG)] = False,
) -> None:
    """Store the results of the last run in docs/results/, for git, and write a page."""
    from brats_cascade.commands.record import run

    typer.echo(str(run(name, root=Path.cwd(), command=command, readme=readme, kept=kept)))


@app.command()
def fuse(
    folders: Annotated[
        list[Path], Argument(help="Two or more folders of segmentations.", parser=path, metavar="FOLDER")
    ],
    out: Out,
    method: Annotated[str, Option(help="staple (weights each folder by its agreement) or majority.")] = "staple",
    scheme: Annotated[
        str,
        Option(help="Label scheme of files that do not name one: five, edema-core, merged, merged-2023 or decathlon."),
    ] = "",
) -> None:
    """Fuse several segmentations of the same cases, by STAPLE or majority vote."""
    from brats_cascade.commands.fuse import run

    raise typer.Exit(min(1, run(folders, out=out, method=method, scheme=scheme)))


@data_app.command("check")
def check(
    cohort: Annotated[
        Path, Argument(help="A folder of any supported release, or a listing.", parser=path, metavar="PATH")
    ],
    layout: Annotated[str, Option(help="auto, or the name of a release.")] = "auto",
    workers: Annotated[int, Option(min=1, help="Number of processes.")] = 2,
    max_gb: MaxGb = MAX_GB,
) -> None:
    """List the cases in a folder and their problems; the exit status is 1 if any is invalid, or if a file would stop DVC."""
    from brats_cascade.commands.check import run

    text, bad = run(cohort, layout=layout, workers=workers, max_gb=max_gb)
    typer.echo(text)
    raise typer.Exit(min(1, bad))


def main() -> None:
    """Runs the command line. User errors and lack of resources end in one line and exit status 1."""
    start_log(level=os.environ.get("BRATS_CASCADE_LOG", "WARNING"), form="%(levelname)s: %(message)s")
    with leaving(), ending_in_one_line():
        app()


# Registered last, so that the help lists the commands in the order of use.
app.command("view")(view.run)
app.command("sweep", cls=ProjectCommand)(sweep.run)
app.command("serve")(serve.run)
app.command("cards", cls=ProjectCommand)(cards.run)
app.command("licences")(licences.run)


if __name__ == "__main__":
    main()
