"""What MLflow is told of all experiments: evaluations that it has not got yet, and the champion in its registry."""

import logging
from typing import Any

from brats_cascade.costs import read_facts
from brats_cascade.params import Params
from brats_cascade.project import Project, read_json
from brats_cascade.report.card import model_card
from brats_cascade.stages.logged import SETS, log_evaluation
from brats_cascade.tracking.champion import Candidate, best, candidates_here, cure, find_champion
from brats_cascade.tracking.pending import CHAMPION, forget_pending, keep_pending, read_pending
from brats_cascade.tracking.registry import point_to, register_champion

log = logging.getLogger(__name__)


def is_behind(project: Project, *, names: list[str]) -> bool:
    """Whether an earlier stage could not tell MLflow all about evaluated experiments or the champion."""
    return any(read_pending(name, root=project.root) is not None for name in (*names, CHAMPION))


def tell_mlflow(project: Project, params: Params, *, names: list[str]) -> None:
    """Logs what was not logged, and registers the champion; noted first, so that what fails is tried again."""
    keep_pending(CHAMPION, {}, root=project.root)
    for name in names:
        log_evaluation(project, name)
    here = best(candidates_here(project.root, experiments=names))
    champion = find_champion(project.root, experiments=names)
    done = True
    if champion and here and (champion.experiment, champion.dice) == (here.experiment, here.dice):
        done = _register(project, champion, phantom=project.root / params.data.source == project.phantom)
    elif champion and point_to(champion.run_id, root=project.root) is None:
        name = f"{champion.experiment}, {champion.dice:.3f}"
        log.warning("the champion, %s, lies elsewhere and is not registered: %s", name, cure(champion))
    if done:
        forget_pending(CHAMPION, root=project.root)


def _register(project: Project, champion: Candidate, *, phantom: bool) -> bool:
    """Gives an experiment of this folder the alias champion and says whether it has it; without MLflow that costs one line."""
    name = champion.experiment
    folder, scores = project.models / name, project.metrics / name / "summary.json"
    record: dict[str, Any] = {
        "git_commit": "unknown", **read_facts(project.root, name=name), "run_id": champion.run_id
    }  # fmt: skip
    if not champion.run_id:
        later = read_pending(name, root=project.root) is not None
        mends = "the next `brats-cascade results`" if later else f"`dvc repro -f -s evaluate@{name} compare`"
        log.warning("%s is in no run of MLflow: not registered; %s mends it", name, mends)
        return not later
    splits = read_json(project.splits)
    card = model_card(
        record,
        summary=read_json(scores),
        contract=read_json(folder / "model.json"),
        sets={part: len(splits[part]) for part in SETS},
        phantom=phantom,
    )
    version = register_champion(
        folder,
        scores=scores,
        card=card,
        run_id=champion.run_id,
        tags={"experiment": name, "validation_dice": champion.dice, "git_commit": record["git_commit"]},
        root=project.root,
    )
    if version is not None:
        log.info("models:/brats-cascade@champion is version %s, %s", version, name)
    return version is not None
