"""Logs an evaluation to MLflow from its files, at once or by the next command that reaches the store."""

import logging
from typing import Any

from brats_cascade.costs import cost_of, read_cases, read_facts, scores_of
from brats_cascade.params import Params
from brats_cascade.project import Project, read_json, read_table
from brats_cascade.stages.script import stage_params
from brats_cascade.tracking.notes import forget_pending, keep_pending, read_pending

log = logging.getLogger(__name__)
SETS = ("train", "validation", "test")


def note_evaluation(project: Project, params: Params, name: str, *, seconds: float) -> None:
    """Notes that metrics/NAME is to be logged, with values that are not in its files; `seconds` are those of the evaluation."""
    about = {"options": params.evaluate.model_dump(), "params": stage_params(params), "seconds": seconds}
    stands_for = {"scores": scores_of(project.root, name=name), "source": params.data.source}
    keep_pending(name, stands_for | about, root=project.root)


def log_evaluation(project: Project, name: str) -> None:
    """Logs metrics/NAME to MLflow if a note says that it is incomplete there; if the store is unreachable, the note stays."""
    from brats_cascade.tracking.evaluated import evaluation_run

    noted = read_pending(name, root=project.root)
    if noted is None or noted["scores"] != scores_of(project.root, name=name):  # the note is about other scores
        return
    summary = read_json(project.metrics / name / "summary.json")
    about = {"options": noted["options"], "params": noted["params"], "seconds": noted["seconds"]}
    with evaluation_run(name, summary=summary, root=project.root, **about) as tracked:
        if tracked is None:
            log.info("%s: MLflow holds this evaluation already", name)
        else:
            _log_files(tracked, project, name, summary=summary, source=noted["source"])
    if tracked is None or tracked.online:
        forget_pending(name, root=project.root)
    else:
        log.warning(
            "%s: not completely logged to MLflow; the next `brats-cascade results` that reaches it logs the rest", name
        )


def _log_files(tracked: Any, project: Project, name: str, *, summary: dict[str, Any], source: str) -> None:
    """Logs the scores, their cases, tables and figures."""
    from brats_cascade.report.card import run_note
    from brats_cascade.tracking.trained import describe

    facts = {**read_facts(project.root, name=name), "run_id": tracked.id}
    sets, volumes = read_json(project.splits), facts.get("data_hashes", {}).get("data/volumes", "unknown")
    tracked.log_data({part: sets[part] for part in SETS}, volumes=volumes, source=source)
    tracked.log_summary(summary)
    describe(tracked, run_note(facts, summary=summary))
    tracked.log_slices(read_table(project.metrics / name / "slices.csv"))
    tracked.log_table(read_cases(project.root, name=name).dropna(axis="columns", how="all"), name="cases")
    spent = cost_of(project.root, name=name, dice=summary["complete"]["dice"])
    tracked.log_scores({key: value for key, value in spent.items() if not key.startswith("training")}, prefix="cost")
    for table in ("nine_slices", "validation"):
        tracked.log_table(read_table(project.metrics / name / f"{table}.csv"), name=table)
    for path in sorted((project.reports / "figures" / name).glob("*.png")):
        tracked.log_file(path, folder="figures")
