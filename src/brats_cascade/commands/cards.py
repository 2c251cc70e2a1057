"""brats-cascade cards: writes a model card and a data card with Hugging Face front matter."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from brats_cascade.commands.options import OUTPUT
from brats_cascade.errors import UserError


def run(
    experiment: Annotated[
        str | None, Option(help="The model's experiment (default: the best on validation in this folder).")
    ] = None,
    out: Annotated[Path, Option(help="Folder for data.md and model.md.", **OUTPUT)] = Path("cards"),
) -> None:
    """Write a data card and a model card, in Markdown."""
    from brats_cascade.costs import RECORD
    from brats_cascade.params import load_params
    from brats_cascade.project import Project, read_json, read_json_if_there
    from brats_cascade.report.card import data_card, front_matter, is_phantom
    from brats_cascade.shared import write_text
    from brats_cascade.stages.champion import card_of, facts_of_training
    from brats_cascade.tracking.champion import best, candidates_here
    from brats_cascade.tracking.notes import read_note

    project, params = Project(), load_params()
    splits, verdict = read_json_if_there(project.splits) or {}, read_json_if_there(project.verdict) or {}
    found = read_json(project.fingerprint)
    card = data_card(
        found,
        name="the built-in phantom" if is_phantom(found) else Path(params.data.source).name,
        sets={part: len(splits[part]) for part in ("train", "validation", "test") if part in splits},
        excluded=len(verdict.get("set_aside", ())),
    )
    write_text(out / "data.md", card)
    typer.echo(str(out / "data.md"))
    here = best(candidates_here(project.root, experiments=list(params.experiments)))
    name = experiment or (here.experiment if here else "")
    if name not in params.experiments:
        known = ", ".join(params.experiments)
        raise UserError(
            f"--experiment {name or '(none is evaluated here)'}: expected one of {known}; run `dvc repro` first"
        )
    record = facts_of_training(project, name, run_id=read_note(name, root=project.root)["run_id"])
    summary = read_json(project.metrics / name / "summary.json")
    read_json(project.models / name / RECORD)  # metrics/ is in git, so a clone has it without the network
    front = front_matter(record, summary=summary)
    write_text(out / "model.md", front + card_of(project, name, record=record).lstrip())
    typer.echo(str(out / "model.md"))
