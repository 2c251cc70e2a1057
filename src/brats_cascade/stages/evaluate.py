"""Segments and scores the test patients with one trained experiment: metrics/E.json, metrics/E and its figures."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from brats_cascade import costs
from brats_cascade.backend import start_backend
from brats_cascade.data.store import StoredCase, open_case
from brats_cascade.drawing.figures import (
    bland_altman,
    class_weight_figure,
    learning_curves,
    reliability_diagram,
    slice_curve,
    write_figures,
)
from brats_cascade.evaluation.cleaning import choose_thresholds, mean_of, tally
from brats_cascade.evaluation.slices import nine_slices
from brats_cascade.evaluation.summary import headline, learning_table, pick_cases, summarise, without_postprocess
from brats_cascade.inference.fit import all_misfits, describe_misfits
from brats_cascade.inference.postprocess import THRESHOLDS, all_thresholds
from brats_cascade.metering import Meter, by_case
from brats_cascade.params import EvaluateParams, Params
from brats_cascade.precision import settled, warn_if_emulated
from brats_cascade.project import Project, read_json, read_table
from brats_cascade.provenance import machine, peak_memory_mb
from brats_cascade.shared import write_json, write_text
from brats_cascade.stages.cost import computing
from brats_cascade.stages.logged import log_evaluation, note_evaluation
from brats_cascade.stages.script import experiment_named

HISTORY = ("phase", "step", "validation_complete")


def evaluate(project: Project, params: Params, name: str) -> None:
    """Chooses the post-processing on validation, scores every test case once, and logs the results to MLflow."""
    began = time.perf_counter()
    start_backend()
    from brats_cascade.evaluation.calibration import Calibration
    from brats_cascade.evaluation.unseen import score_unseen
    from brats_cascade.inference.segment import Member
    from brats_cascade.models.fold import load_for_inference

    entry = experiment_named(params, name)
    warn_if_emulated(params.evaluate.precision)
    options = params.evaluate.model_copy(update={"precision": settled(params.evaluate.precision)})
    params = params.model_copy(update={"evaluate": options})
    member = Member(*load_for_inference(project.models / name, precision=options.precision))
    classes, splits = member.contract.classes, read_json(project.splits)
    segment, calibration = _segmenter(member, options=options), Calibration(fitted=options.temperature, classes=classes)
    opened = _open(project, splits["validation"], title=f"{name}: validation cases")
    choice, validation = _choose(opened, segment=segment, options=params.evaluate, calibration=calibration)
    logging.info("%s: post-processing chosen on validation %s", name, choice.thresholds)
    _warn_of_misfits(project, splits["test"], contract=member.contract)
    scored, spent = _score(
        _open(project, splits["test"], title=f"{name}: test cases"),
        segment=segment,
        score=partial(score_unseen, thresholds=choice.thresholds, folder=project.segmentations / name, classes=classes),
        calibration=calibration,
    )
    cases = pd.DataFrame([case.row for case in scored])
    slices = pd.concat([case.slices for case in scored], ignore_index=True)
    nine = nine_slices(slices, case=str(cases["case"].iloc[int(cases["complete_truth_cm3"].argmax())]))
    summary = {
        **summarise(cases, seed=entry.train.seed),
        "without_postprocess": without_postprocess(pd.DataFrame([case.bare for case in scored])),
        "postprocess": choice.thresholds.as_dict(),
        "flips": params.evaluate.flips,
        "validation": choice.as_dict(cases=len(splits["validation"])),
        "calibration": calibration.summary(),
    }
    learning = learning_table(read_table(project.models / name / "history.csv", columns=HISTORY))
    tables = {"cases": cases, "slices": slices, "nine_slices": nine, "learning": learning, "validation": validation}
    figures = _figures(project, name, scored=scored, tables=tables)
    figures["volume_agreement"] = bland_altman(cases, agreement=summary, title=f"{name}: volumes of the test cases")
    title = f"{name}: reliability on the test cases"
    figures["reliability"] = reliability_diagram(calibration.counts, title=title)
    _write(project, name, summary=summary, tables=tables, figures=figures)
    scores = costs.scores_of(project.root, name=name)
    costs.keep_costs(project.root, name=name, what="evaluation", result=scores, costs=spent)
    note_evaluation(project, params, name, seconds=time.perf_counter() - began)
    log_evaluation(project, name)
    logging.info("%s: mean complete Dice %.3f over %d test cases", name, summary["complete"]["dice"], len(cases))


def _warn_of_misfits(project: Project, names: Sequence[str], *, contract: Any) -> None:
    """Warns of test cases that do not fit the network's training data or were part of it; models/E may come from elsewhere."""
    for name in names:
        misfits = all_misfits([contract], facts=open_case(project.volumes / name).meta["facts"])
        if misfits:
            logging.warning("%s: %s", name, describe_misfits(misfits))


def _segmenter(member: Any, *, options: EvaluateParams) -> Callable[[StoredCase], np.ndarray]:
    from brats_cascade.inference.segment import label_probabilities

    def segment(case: StoredCase) -> np.ndarray:
        with computing():
            return label_probabilities(
                [member],
                image=case.image,
                brain=np.asarray(case.brain),
                spacing=case.meta["spacing"],
                slices=options.slices,
                flips=options.flips,
            )

    return segment


def _open(project: Project, names: Sequence[str], *, title: str) -> Iterator[StoredCase]:
    """Opens the cases one at a time, with a progress bar."""
    return (open_case(project.volumes / name) for name in tqdm(names, desc=title, unit="case"))


def _choose(
    cases: Iterable[StoredCase], *, segment: Any, options: EvaluateParams, calibration: Any
) -> tuple[Any, pd.DataFrame]:
    """The thresholds with the best Dice on the validation cases, which are segmented once; and that Dice."""
    from brats_cascade.inference.segment import most_probable

    tallies: dict[float, list[Any]] = {point: [] for point in (0.0, *options.operating_point)}
    known = []
    for case in cases:
        known.append({"case": case.name, "patient": case.meta["facts"]["patient"]})
        probabilities, truth, brain = segment(case), np.asarray(case.labels), np.asarray(case.brain)
        for point, counted in tallies.items():
            labels = most_probable(probabilities, operating_point=point)
            counted.append(tally(labels, truth=truth, brain=brain, spacing=case.meta["spacing"], outside=case.outside))
        calibration.sample(case, probabilities)
    calibration.fit()
    choice = choose_thresholds(tallies, candidates=all_thresholds({key: getattr(options, key) for key in THRESHOLDS}))
    dice = [{**scores, "mean": mean_of(scores)} for scores in choice.each]
    return choice, pd.DataFrame(known).join(pd.DataFrame(dice).add_suffix("_dice"))


def _score(
    cases: Iterable[StoredCase], *, segment: Any, score: Any, calibration: Any
) -> tuple[list[Any], dict[str, Any]]:
    """The scored test cases, and the cost of segmenting each."""
    from brats_cascade.inference.segment import most_probable

    scored, spent = [], {}
    for case in cases:
        meter = Meter()
        probabilities = segment(case)
        labels = most_probable(probabilities)
        spent[case.name] = meter.read()
        scored.append(score(case, labels=labels, probabilities=probabilities))
        calibration.count(case, probabilities)
    return scored, {**by_case(spent), "peak_memory_mb": round(peak_memory_mb()), "machine": machine()}


def _figures(
    project: Project, name: str, *, scored: Sequence[Any], tables: Mapping[str, pd.DataFrame]
) -> dict[str, Any]:
    """Curves of the training, and overlay and per-slice curve of the best, the median and the worst case."""
    by_name, slices = {found.row["case"]: found for found in scored}, tables["slices"]
    history, weights = (read_table(project.models / name / f"{table}.csv") for table in ("history", "class_weights"))
    figures: dict[str, Any] = {
        "learning_curves": learning_curves(history, title=name),
        "class_weights": class_weight_figure(weights, title=name),
    }
    for rank, case in pick_cases(tables["cases"]).items():
        title = f"{name}: {rank} case, {case}"
        stored = open_case(project.volumes / case)
        figures[f"{rank}_overlay"] = by_name[case].draw(stored, title=title)
        axis = stored.meta.get("axis", "axial")
        figures[f"{rank}_slices"] = slice_curve(slices[slices["case"] == case], axis=axis, title=title)
    return figures


def _write(
    project: Project,
    name: str,
    *,
    summary: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    figures: dict[str, Any],
) -> None:
    """Writes metrics and figures."""
    metrics = project.metrics
    for key, table in tables.items():
        write_text(metrics / name / f"{key}.csv", table.to_csv(index=False))
    write_json(metrics / name / "summary.json", summary)
    write_json(metrics / f"{name}.json", headline(summary))
    write_figures(project.reports / "figures" / name, figures=figures)
