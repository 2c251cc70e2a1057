"""Compares all experiments: reports/comparison.json, index.html, viewer pages, and the champion in MLflow's registry."""

import logging
import shutil
from pathlib import Path
from typing import Any

from brats_cascade.costs import cost_of, forget_costs_of_others, read_cases
from brats_cascade.data.store import StoredCase, open_case
from brats_cascade.errors import UserError
from brats_cascade.evaluation.baseline import baseline_summary, fit_threshold, score_threshold
from brats_cascade.evaluation.summary import against, pick_cases
from brats_cascade.inference.chosen import SCORES
from brats_cascade.inference.volumes import target
from brats_cascade.params import Params
from brats_cascade.project import Project, read_json
from brats_cascade.report.index import build_report
from brats_cascade.report.look import scene_of
from brats_cascade.report.text import comparison
from brats_cascade.report.viewer import write_cases
from brats_cascade.shared import write_json, write_text
from brats_cascade.stages.champion import tell_mlflow
from brats_cascade.tracking.champion import best, candidates_here
from brats_cascade.tracking.store import link

MOST = 12  # number of viewer pages; several megabytes each for real scans


def compare(project: Project, params: Params) -> None:
    """Scores the threshold baseline, compares the experiments, writes the report, and registers the best on validation."""
    files = {name: project.metrics / name / "summary.json" for name in params.experiments}
    summaries = {name: read_json(path) for name, path in files.items() if path.is_file()}
    if not summaries:
        raise UserError(
            f"{project.metrics}: no experiment has been evaluated; expected {', '.join(map(str, files.values()))}"
        )
    splits = read_json(project.splits)
    baseline = threshold_baseline(project, splits=splits)
    here = best(candidates_here(project.root, experiments=list(summaries)))
    leading = here.experiment if here else None
    for name in params.experiments:
        forget_costs_of_others(project.root, name=name)
    cases = {name: read_cases(project.root, name=name) for name in summaries}
    paired = against(leading, tables=cases) if leading else None
    spent = {
        name: cost_of(project.root, name=name, dice=scores["complete"]["dice"]) for name, scores in summaries.items()
    }
    compared = comparison(summaries, baseline=baseline, best=leading, paired=paired, costs=spent)
    write_json(project.reports / "comparison.json", compared)
    write_case_pages(project, experiment=leading)
    written = project.reports / "index.html"
    names, runs = list(params.experiments), link(project.root)
    page = build_report(project.root, experiments=names, baseline=baseline, runs=runs)
    write_text(written, page)
    logging.info("%s: %d experiments, %.1f MB", written, len(summaries), len(page) / 1e6)
    _lay_out(project.root / "champion", name=leading, project=project)
    tell_mlflow(project, names=list(summaries))


def write_case_pages(project: Project, *, experiment: str | None) -> None:
    """Rewrites reports/cases: viewer pages for test cases with the segmentations of one experiment.

    They show the best, median and worst case, then others in order, at most `MOST`. Without an experiment the list is
    empty. A case without a segmentation is shown without it.
    """
    folder = project.reports / "cases"
    shutil.rmtree(folder, ignore_errors=True)
    names: list[str] = []
    if experiment is not None:
        cases = read_cases(project.root, name=experiment)
        names = list(dict.fromkeys([*pick_cases(cases).values(), *cases["case"]]))
    files = {name: target(name, kind="seg", out=project.segmentations / str(experiment)) for name in names[:MOST]}
    scenes = (
        scene_of(name, project.volumes / name, prediction=file if file.is_file() else None)
        for name, file in files.items()
    )
    note = (
        f"The best, the median and the worst case, and {MOST - 3} others of {len(names)}." if len(names) > MOST else ""
    )
    write_cases(folder, scenes, title=f"Test cases, {experiment}" if experiment else "Test cases", note=note)


def _lay_out(folder: Path, *, name: str | None, project: Project) -> None:
    """Writes DVC's artifact `champion`: the best network of this folder with its post-processing; empty without a candidate."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in sorted((project.models / name).glob("model.*")) if name else ():
        shutil.copy(path, folder)
    if name:
        shutil.copy(project.metrics / name / "summary.json", folder / SCORES)


def threshold_baseline(project: Project, *, splits: dict[str, Any]) -> dict[str, Any] | None:
    """The best single-modality threshold, chosen on the training cases and applied to the test cases."""

    def labelled(name: str) -> list[StoredCase]:
        return [
            case for case in (open_case(project.volumes / case) for case in splits[name]) if case.labels is not None
        ]

    train, unseen = labelled("train"), labelled("test")
    if not train or not unseen:
        return None
    threshold = fit_threshold(train)
    return baseline_summary(threshold, scores=score_threshold(threshold, cases=unseen))
