"""Logs missing evaluations to MLflow, and registers the champion."""

import logging
from typing import Any

from brats_cascade.costs import read_facts
from brats_cascade.project import Project, read_json
from brats_cascade.report.card import model_card
from brats_cascade.stages.logged import SETS, log_evaluation
from brats_cascade.tracking.champion import Candidate, candidates_here, contest, cure
from brats_cascade.tracking.notes import CHAMPION, forget_pending, keep_pending, read_pending
from brats_cascade.tracking.registry import ALIAS, CHALLENGER, drop_challenger, point_to, register_champion

log = logging.getLogger(__name__)


def is_behind(project: Project, *, names: list[str]) -> bool:
    """Whether an earlier stage could not log all evaluated experiments or the champion to MLflow."""
    return any(read_pending(name, root=project.root) is not None for name in (*names, CHAMPION))


def tell_mlflow(project: Project, *, names: list[str]) -> None:
    """Logs missing evaluations and registers the champion; notes the work first, so that it is retried after a failure."""
    keep_pending(CHAMPION, {}, root=project.root)
    for name in names:
        log_evaluation(project, name)
    found = contest(project.root, experiments=names)
    done = _give(project, found.champion, names=names, alias=ALIAS) if found.champion else True
    if found.challenger:
        log.warning(
            "%s, %.3f, has a higher mean but is not champion: %s (alias %s)",
            found.challenger.experiment, found.challenger.dice, found.reason, CHALLENGER,
        )  # fmt: skip
        _give(project, found.challenger, names=names, alias=CHALLENGER)
    elif found.champion:
        drop_challenger(project.root)
    if done:
        forget_pending(CHAMPION, root=project.root)


def _give(project: Project, candidate: Candidate, *, names: list[str], alias: str) -> bool:
    """Gives a candidate the alias; returns whether nothing is left to do. An unreachable MLflow only causes a warning.

    A candidate in this folder is registered; for any other, its existing version gets the alias.
    """
    name, run_id = candidate.experiment, candidate.run_id
    if (name, candidate.dice) not in {
        (one.experiment, one.dice) for one in candidates_here(project.root, experiments=names)
    }:
        if point_to(run_id, root=project.root, alias=alias) is None:
            what = f"{name}, {candidate.dice:.3f}"
            log.warning("the %s, %s, is not in this folder and was not registered: %s", alias, what, cure(candidate))
        return True
    if not run_id:
        later = read_pending(name, root=project.root) is not None
        mends = "the next `brats-cascade results`" if later else f"`dvc repro -f -s evaluate@{name} compare`"
        log.warning("%s is in no MLflow run, so it was not registered; %s corrects this", name, mends)
        return not later
    record = facts_of_training(project, name, run_id=run_id)
    version = register_champion(
        project.models / name,
        scores=project.metrics / name / "summary.json",
        card=card_of(project, name, record=record),
        run_id=run_id,
        tags={"experiment": name, "validation_dice": candidate.dice, "git_commit": record["git_commit"]},
        root=project.root,
        alias=alias,
    )
    if version is not None:
        log.info("models:/brats-cascade@%s is version %s, %s", alias, version, name)
    return version is not None


def facts_of_training(project: Project, name: str, *, run_id: str) -> dict[str, Any]:
    """The facts of a training for a card."""
    return {"git_commit": "unknown", **read_facts(project.root, name=name), "run_id": run_id}


def card_of(project: Project, name: str, *, record: dict[str, Any]) -> str:
    """The card of an experiment that was evaluated in this folder."""
    splits = read_json(project.splits)
    return model_card(
        record,
        summary=read_json(project.metrics / name / "summary.json"),
        contract=read_json(project.models / name / "model.json"),
        sets={part: len(splits[part]) for part in SETS},
    )
