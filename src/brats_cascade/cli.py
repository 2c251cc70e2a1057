"""The command line: brats-cascade ...; every import that takes time waits for the command that needs it."""

import brats_cascade.interrupted  # noqa: F401, I001 - first
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from brats_cascade import MAX_GB
from brats_cascade.backend import keep_quiet
from brats_cascade.commands import cards, export_nnunet, licences, serve, sweep, view
from brats_cascade.commands.options import PATH, MaxGb, Out, PredictOptions, path, taking
from brats_cascade.commands.wheel import ProjectCommand, show_version
from brats_cascade.errors import ending_in_one_line, start_log
from brats_cascade.leaving import leaving

keep_quiet()


class Interruptible(TyperGroup):
    """Ctrl-C ends any command with one line; Typer itself would end it with none."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("stopped; finished work is kept, run the same command again to continue", file=sys.stderr)
            raise typer.Exit(130) from None


app = typer.Typer(cls=Interruptible, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(help="Look at data before using it.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@app.callback()
def start(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Cascaded two-pathway CNNs (Havaei et al.) for brain tumour segmentation."""


@app.command()
@taking(PredictOptions)
def predict(
    cases: Annotated[
        list[Path],
        typer.Argument(help="Folders of cases, or folders that hold several.", parser=path, metavar="CASE_DIR..."),
    ],
    **given: Any,
) -> None:
    """Segment cases: one file each, in the case's own geometry and label scheme."""
    from brats_cascade.commands.predict import run

    raise typer.Exit(min(1, run(cases, PredictOptions(**given))))


@app.command()
def evaluate(
    truth: Annotated[
        Path,
        typer.Option(
            help="A folder of cases of any supported release or of label files, a listing, or one file.", **PATH
        ),
    ],
    prediction: Annotated[
        Path, typer.Option(help="A folder of segmentations, ours or anybody's, or one file.", **PATH)
    ],
    out: Annotated[Path, typer.Option(help="The table: .json (with means and intervals) or .csv.", **PATH)],
    scheme: Annotated[
        str,
        typer.Option(
            help="How the truth numbers its labels: auto, five, edema-core, merged, merged-2023 or decathlon."
        ),
    ] = "auto",
    prediction_scheme: Annotated[
        str, typer.Option(help="The same for the predictions; auto: as they name it, else as the truth.")
    ] = "auto",
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Leave out what predict has marked as made by a model that may not fit the case."
        ),
    ] = False,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Another folder of predictions, to compare these with; may be repeated.", **PATH),
    ] = None,
) -> None:
    """Score segmentations against their ground truth: Dice, PPV, sensitivity, specificity, HD95, volumes, lesion-wise scores.

    A region that is empty in both counts as Dice 1 and HD95 0, in one alone as Dice 0 and HD95 373.13 mm.
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
    model: Annotated[str, typer.Option(help="A folder models/EXPERIMENT or an MLflow URI.")],
    out: Annotated[Path, typer.Option(help="Folder for the exported network and its model.json.", **PATH)],
    form: Annotated[str, typer.Option("--format", help="keras, saved_model or onnx (extra: onnx).")] = "saved_model",
) -> None:
    """Write a trained network for other programs; what was written is checked against the network."""
    from brats_cascade.commands.export import run

    typer.echo(str(run(model, out=out, form=form)))


@app.command()
def doctor() -> None:
    """Versions, devices, backend, data source, free disk; what would not work and why."""
    from brats_cascade.commands.doctor import run

    raise typer.Exit(min(1, run(Path.cwd())))


@app.command(cls=ProjectCommand)
def results(
    costs: Annotated[bool, typer.Option("--costs", help="Time and memory of the stages instead.")] = False,
) -> None:
    """The table of results of the last `dvc repro`, and where to look next."""
    from brats_cascade.commands.results import run

    typer.echo(run(Path.cwd(), costs=costs))


@app.command(cls=ProjectCommand)
def repeat() -> None:
    """Means and spreads over seeds and folds of the DVC experiments on this commit; writes reports/repeat.csv and .md."""
    from brats_cascade.stages.repeat import repeat as join

    typer.echo(join(Path.cwd()))


@app.command(cls=ProjectCommand)
def record(
    name: Annotated[str, typer.Argument(help="Name of the record, docs/results/NAME.csv, .json and .md.")],
    command: Annotated[str, typer.Option(help="The command that made the results.")] = "dvc repro",
    readme: Annotated[bool, typer.Option("--readme", help="Also write the table in README.md.")] = False,
    kept: Annotated[
        bool, typer.Option("--kept", help="Only write the page again, from the results stored earlier.")
    ] = False,
) -> None:
    """Store the results of the last run in docs/results/ for git, and write their page."""
    from brats_cascade.commands.record import run

    typer.echo(str(run(name, root=Path.cwd(), command=command, readme=readme, kept=kept)))


@app.command()
def fuse(
    folders: Annotated[
        list[Path], typer.Argument(help="Two or more folders of segmentations.", parser=path, metavar="FOLDER...")
    ],
    out: Out,
    method: Annotated[str, typer.Option(help="staple (weighs each folder by its agreement) or majority.")] = "staple",
    scheme: Annotated[str, typer.Option(help="Label numbers of files that do not name theirs, as in evaluate.")] = "",
) -> None:
    """Fuse segmentations by STAPLE or majority; ties go to the most frequent label, then to the folder named first."""
    from brats_cascade.commands.fuse import run

    raise typer.Exit(min(1, run(folders, out=out, method=method, scheme=scheme)))


@data_app.command("check")
def check(
    cohort: Annotated[Path, typer.Argument(help="A folder of any supported release.", parser=path, metavar="PATH")],
    layout: Annotated[str, typer.Option(help="auto, or a release's name.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    max_gb: MaxGb = MAX_GB,
) -> None:
    """List the cases of a folder and what is wrong with them; exit 1 if any is bad."""
    from brats_cascade.commands.check import run

    text, bad = run(cohort, layout=layout, workers=workers, max_gb=max_gb)
    typer.echo(text)
    raise typer.Exit(min(1, bad))


def main() -> None:
    """Runs the command line; a user's mistake, and trouble of the machine, ends in one line and exit status 1."""
    start_log(level=os.environ.get("BRATS_CASCADE_LOG", "WARNING"), form="%(levelname)s: %(message)s")
    with leaving(), ending_in_one_line():
        app()


# After the others, so that help names first what is used first.
app.command("view")(view.run)
app.command("sweep", cls=ProjectCommand)(sweep.run)
app.command("serve")(serve.run)
app.command("cards", cls=ProjectCommand)(cards.run)
app.command("export-nnunet", cls=ProjectCommand)(export_nnunet.run)
app.command("licences")(licences.run)


if __name__ == "__main__":
    main()
