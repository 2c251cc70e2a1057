"""Segments and scores the unseen patients with one trained experiment: metrics/E.json, metrics/E and its figures."""

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _cost import computing
from _stage import experiment_named, run, stage_params
from tqdm import tqdm

from brats_cascade import costs
from brats_cascade.backend import start_backend
from brats_cascade.config import EvaluateParams, Params

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

VOLUMES, SPLITS, MODELS = Path("data/volumes"), Path("data/splits.json"), Path("models")
SEGMENTATIONS = Path("segmentations")
METRICS, FIGURES = Path("metrics"), Path("reports/figures")
THRESHOLDS = ("min_component", "skull_distance", "flatness", "skull_volume")


def main(params: Params, name: str) -> None:
    """Chooses the post-processing on validation, scores every test case once, and logs what it writes to MLflow."""
    began = time.perf_counter()
    start_backend()
    import pandas as pd

    from brats_cascade.evaluation.slices import nine_slices
    from brats_cascade.evaluation.summary import learning_table, summarise, without_postprocess
    from brats_cascade.inference.segment import Member
    from brats_cascade.models.fold import load_for_inference

    entry = experiment_named(params, name)
    member = Member(*load_for_inference(MODELS / name, precision=params.evaluate.precision))
    segment = _segmenter(member, options=params.evaluate)
    splits = json.loads(SPLITS.read_text(encoding="utf-8"))
    choice = _choose(splits["validation"], segment=segment, options=params.evaluate, name=name)
    logging.info("%s: post-processing chosen on validation %s", name, choice.rule)
    _warn_of_misfits(splits["test"], contract=member.contract)
    scored, seconds = _score(splits["test"], segment=segment, rule=choice.rule, name=name)
    cases = pd.DataFrame([one.row for one in scored])
    slices = pd.concat([one.slices for one in scored], ignore_index=True)
    nine = nine_slices(slices, case=str(cases["case"].iloc[int(cases["complete_truth_cm3"].argmax())]))
    summary = {
        **summarise(cases, seed=entry.train.seed),
        "without_postprocess": without_postprocess(pd.DataFrame([one.bare for one in scored])),
        "postprocess": choice.rule.as_dict(),
        "flips": params.evaluate.flips,
        "validation": choice.as_dict(cases=len(splits["validation"])),
    }
    learning = learning_table(pd.read_csv(MODELS / name / "history.csv"))
    tables = {"cases": cases, "slices": slices, "nine_slices": nine, "learning": learning}
    figures = _figures(scored, cases=cases, slices=slices, name=name)
    pictures = _write(name, summary=summary, tables=tables, figures=figures)
    costs.keep_costs(
        Path(), name=name, what="evaluation", result=costs.scores_of(Path(), name=name), costs={"seconds": seconds}
    )
    tables["cases"] = cases.assign(seconds=list(seconds.values()))
    _log(name, params=params, summary=summary, tables=tables, pictures=pictures, seconds=time.perf_counter() - began)
    logging.info("%s: mean complete Dice %.3f over %d unseen cases", name, summary["complete"]["dice"], len(cases))


def _warn_of_misfits(names: Sequence[str], *, contract: Any) -> None:
    """Says which test cases the network was not made for, or was trained on: models/E may come from elsewhere."""
    from brats_cascade.data.store import open_case
    from brats_cascade.inference.fit import all_misfits, describe_misfits

    for name in names:
        misfits = all_misfits([contract], facts=open_case(VOLUMES / name).meta["facts"])
        if misfits:
            logging.warning("%s: %s", name, describe_misfits(misfits))


def _segmenter(member: Any, *, options: EvaluateParams) -> Callable[[Any], "np.ndarray"]:
    import numpy as np

    from brats_cascade.inference.segment import label_probabilities

    def segment(case: Any) -> "np.ndarray":
        with computing():
            return label_probabilities(
                [member], image=case.image, brain=np.asarray(case.brain), slices=options.slices, flips=options.flips
            )

    return segment


def _choose(names: Sequence[str], *, segment: Any, options: EvaluateParams, name: str) -> Any:
    """The rule that does best on the validation cases; they are segmented once, whatever the number of rules."""
    import numpy as np

    from brats_cascade.data.store import open_case
    from brats_cascade.evaluation.cleaning import choose_rule, tally
    from brats_cascade.inference.postprocess import all_rules
    from brats_cascade.inference.segment import most_probable

    tallies = []
    for case in (open_case(VOLUMES / one) for one in tqdm(names, desc=f"{name}: validation cases", unit="case")):
        labels = most_probable(segment(case))
        tallies.append(
            tally(labels, truth=np.asarray(case.labels), brain=np.asarray(case.brain), spacing=case.meta["spacing"])
        )
    return choose_rule(tallies, rules=all_rules({key: getattr(options, key) for key in THRESHOLDS}))


def _score(names: Sequence[str], *, segment: Any, rule: Any, name: str) -> tuple[list[Any], dict[str, float]]:
    """The unseen cases scored, and the seconds that the segmentation of each took."""
    from brats_cascade.data.store import open_case
    from brats_cascade.evaluation.unseen import score_unseen
    from brats_cascade.inference.segment import most_probable

    scored, seconds = [], {}
    for case in (open_case(VOLUMES / one) for one in tqdm(names, desc=f"{name}: unseen cases", unit="case")):
        started = time.perf_counter()
        probabilities = segment(case)
        labels = most_probable(probabilities)
        seconds[case.name] = round(time.perf_counter() - started, 2)
        scored.append(
            score_unseen(case, labels=labels, probabilities=probabilities, rule=rule, folder=SEGMENTATIONS / name)
        )
    return scored, seconds


def _figures(scored: Sequence[Any], *, cases: "pd.DataFrame", slices: "pd.DataFrame", name: str) -> dict[str, Any]:
    """Curves of the training, and overlay and per-slice curve of the best, the median and the worst case."""
    import pandas as pd

    from brats_cascade.data.store import open_case
    from brats_cascade.evaluation.figures import class_weight_figure, learning_curves, slice_curve
    from brats_cascade.evaluation.summary import pick_cases

    by_name = {one.row["case"]: one for one in scored}
    history, weights = (pd.read_csv(MODELS / name / f"{table}.csv") for table in ("history", "class_weights"))
    figures: dict[str, Any] = {
        "learning_curves": learning_curves(history, title=name),
        "class_weights": class_weight_figure(weights, title=name),
    }
    for rank, case in pick_cases(cases).items():
        title = f"{name}: {rank} case, {case}"
        figures[f"{rank}_overlay"] = by_name[case].draw(open_case(VOLUMES / case), title=title)
        figures[f"{rank}_slices"] = slice_curve(slices[slices["case"] == case], title=title)
    return figures


def _write(
    name: str, *, summary: dict[str, Any], tables: dict[str, "pd.DataFrame"], figures: dict[str, Any]
) -> dict[str, Path]:
    """Writes metrics and figures; gives where the pictures are."""
    from brats_cascade.evaluation.figures import write_figures
    from brats_cascade.evaluation.summary import headline

    (METRICS / name).mkdir(parents=True, exist_ok=True)
    for key, table in tables.items():
        table.to_csv(METRICS / name / f"{key}.csv", index=False)
    for path, content in ((METRICS / name / "summary.json", summary), (METRICS / f"{name}.json", headline(summary))):
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return write_figures(FIGURES / name, figures=figures)


def _log(
    name: str,
    *,
    params: Params,
    summary: dict[str, Any],
    tables: dict[str, "pd.DataFrame"],
    pictures: dict[str, Path],
    seconds: float,
) -> None:
    """Logs to the run that training opened, or below it; a run that is gone is made again from the files in models/NAME."""
    from brats_cascade.costs import read_facts
    from brats_cascade.report.card import run_note
    from brats_cascade.tracking.evaluated import evaluation_run

    options, before = params.evaluate.model_dump(), stage_params(params)
    with evaluation_run(name, options=options, summary=summary, params=before, seconds=seconds) as tracked:
        if tracked is None:
            logging.info("%s: MLflow holds this evaluation already", name)
            return
        facts = {**read_facts(Path(), name=name), "run_id": tracked.id}
        tracked.log_summary(summary)
        tracked.log_note(run_note(facts, summary=summary))
        sets = json.loads(SPLITS.read_text(encoding="utf-8"))
        volumes = facts.get("data_hashes", {}).get("data/volumes", "unknown")
        tracked.log_data(
            {part: sets[part] for part in ("train", "validation", "test")}, volumes=volumes, source=params.data.source
        )
        tracked.log_slices(tables["slices"])
        tracked.log_table(tables["cases"], name="cases")
        tracked.log_table(tables["nine_slices"], name="nine_slices")
        tracked.log_figures(pictures)


if __name__ == "__main__":
    run(main, arguments=("experiment",), heavy=True)
