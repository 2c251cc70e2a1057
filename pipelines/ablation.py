"""Trains the listed experiments with several seeds and reports their spread: python pipelines/ablation.py --seeds 3.

Not a DVC stage: it takes `seeds` times as long as all train stages together. It reads what the patches stage left, keeps its
models and scores in .work/ablation (a rerun goes on where a killed one stopped), and writes reports/ablation. In MLflow one
parent run holds the summary, with one child run an experiment and seed.
"""

import argparse
import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from _ablation_report import summarise_seeds, write_page, write_report
from _experiment import SPLITS, VOLUMES, tags_of, train_entry
from _stage import experiment_named

from brats_cascade import provenance
from brats_cascade.backend import start_backend
from brats_cascade.config import ExperimentParams, Params, load_params
from brats_cascade.errors import UserError

WORK, REPORT = Path(".work/ablation"), Path("reports/ablation")


def main(params: Params, *, seeds: int, names: list[str], page: Path | None = None) -> None:
    """Trains and scores every experiment with every seed, then writes and logs the summary, and a page for git if asked."""
    start_backend()
    from brats_cascade.evaluation.figures import write_figures

    order = in_order(params, names or list(params.experiments))
    tags = {"ablation": "parent", "seeds": seeds, "git_commit": provenance.git_commit(Path.cwd())}
    listed = {"seeds": seeds, "experiments": ", ".join(order)}
    rows = []
    with _run(WORK / "run.json", name=f"ablation, {seeds} seeds", tags=tags, params=listed) as parent:
        for seed in range(1, seeds + 1):
            for name in order:
                entry = experiment_named(params, name)
                entry = entry.model_copy(update={"train": entry.train.model_copy(update={"seed": seed})})
                rows.append(_one(params, entry, name=name, folder=WORK / f"seed{seed}", parent=parent.id))
        results = pd.DataFrame(rows)
        summary = summarise_seeds(results)
        experiments = [_settings(experiment_named(params, name), name=name) for name in order]
        figure = write_report(REPORT, results=results, summary=summary, experiments=experiments)
        pictures = write_figures(REPORT, figures={"spread": figure})
        parent.log_scores(summary, prefix="spread")
        parent.log_table(results, name="ablation")
        parent.log_figures(pictures)
        parent.log_note((REPORT / "summary.md").read_text(encoding="utf-8"))
    if page is not None:
        words, hashes = ["python", *sys.argv], provenance.data_hashes(Path.cwd())
        write_page(page, report=REPORT, words=words, hashes=hashes, title=f"Ablation, {seeds} seeds")
    sys.stdout.write((REPORT / "summary.md").read_text(encoding="utf-8"))


def in_order(params: Params, names: list[str]) -> list[str]:
    """The named experiments, each after the one it builds on, which is added where it is not named."""
    found: list[str] = []
    for name in names:
        entry = experiment_named(params, name)
        for needed in (entry.cnn1, name):
            if needed is not None and needed not in found:
                found.append(needed)
    return found


def _settings(entry: ExperimentParams, *, name: str) -> Any:
    """What decides an experiment's outcome, for the words about pairs that differ in one thing."""
    from brats_cascade.evaluation.ablation import Experiment

    settings = {**entry.train.model_dump(), "architecture": entry.architecture, "builds_on": entry.builds_on}
    return Experiment(name, settings, pd.DataFrame())


def _one(params: Params, entry: ExperimentParams, *, name: str, folder: Path, parent: str) -> dict[str, Any]:
    """One experiment with one seed: a child run and a row; read from its file if it is done already."""
    import keras

    from brats_cascade.models.files import save_trained

    result, root = folder / name / "result.json", Path.cwd()
    hashes = provenance.data_hashes(root)
    settings = {**entry.model_dump(mode="json"), "hashes": hashes}
    if entry.cnn1 is not None:
        settings["cnn1"] = json.loads((folder / entry.cnn1 / "result.json").read_text(encoding="utf-8"))["settings"]
    done = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
    if done.get("settings") == settings:
        row: dict[str, Any] = done["row"]
        return row
    seed = entry.train.seed
    tags = tags_of(params, entry, name=name, root=root) | {"ablation": "child", "mlflow.parentRunId": parent}
    flat = {f"train.{key}": value for key, value in entry.train.model_dump().items()}
    keras.utils.clear_session()  # the networks before this one are not needed any more
    with _run(folder / name / "run.json", name=f"{name}, seed {seed}", tags=tags, params=flat) as tracked:
        trained, contract = train_entry(params, entry, work=folder / name / "work", models=folder, shared=WORK.parent)
        save_trained(folder / name, network=trained.network, contract=contract)
        history = pd.DataFrame(trained.progress.history)
        scores = _score(trained.network, contract=contract, params=params)
        row = {"experiment": name, "seed": seed, **scores, "seconds": round(trained.seconds, 1)}
        result.write_text(json.dumps({"settings": settings, "row": row}, indent=2), encoding="utf-8")
        tracked.log_history(history)
        if trained.first is not None:
            tracked.log_history(pd.DataFrame(trained.first.history), prefix="cnn1/")
        tracked.log_class_weights(trained.weights)
        tracked.log_scores(scores)
    logging.info("%s, seed %d: %s", name, seed, {key: round(value, 3) for key, value in scores.items()})
    return row


@contextlib.contextmanager
def _run(note: Path, *, name: str, tags: dict[str, Any], params: dict[str, Any]) -> Iterator[Any]:
    """A new MLflow run, or the one that a killed ablation had opened for the same parameters."""
    from brats_cascade import tracking

    known = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    wanted = {key: str(value) for key, value in params.items()}
    if known.get("run_id") and known["params"] == wanted:
        opened = tracking.resume_run(known["run_id"], name=name, tags=tags, params=params)
    else:
        opened = tracking.start_run(name, tags=tags, params=params, finish=True)
    with opened as run:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"run_id": run.id, "params": wanted}), encoding="utf-8")
        yield run


def _score(network: Any, *, contract: Any, params: Params) -> dict[str, float]:
    """Mean Dice of the unseen cases without post-processing, and how much of their tumour is called tumour."""
    import numpy as np

    from brats_cascade.data.store import open_case
    from brats_cascade.evaluation.regions import score_case
    from brats_cascade.inference.segment import Member, label_probabilities, most_probable
    from brats_cascade.labels import REGIONS

    rows, called, true = [], 0, 0
    for name in json.loads(SPLITS.read_text(encoding="utf-8"))["test"]:
        case = open_case(VOLUMES / name)
        found = most_probable(
            label_probabilities(
                [Member(network, contract)], image=case.image, brain=np.asarray(case.brain),
                slices=params.evaluate.slices, flips=False,
            )
        )  # fmt: skip
        truth = np.asarray(case.labels)
        scores = score_case(truth, found, spacing=case.meta["spacing"])
        rows.append({region: scores[f"{region}_dice"] for region in REGIONS})
        called, true = called + int((found > 0).sum()), true + int((truth > 0).sum())
    means = {region: float(np.mean([row[region] for row in rows])) for region in REGIONS}
    return {**means, "tumour_share": called / max(true, 1)}


if __name__ == "__main__":
    logging.basicConfig(level="INFO", format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="each experiment is trained with seeds 1 to this")
    parser.add_argument("--page", type=Path, help="also write a page for git, such as docs/results/ablation.md")
    parser.add_argument("experiments", nargs="*", help="of params.yaml; all of them by default")
    given = parser.parse_args()
    try:
        main(load_params(), seeds=given.seeds, names=given.experiments, page=given.page)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
