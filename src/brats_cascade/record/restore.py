"""The runs behind a record, put into this project's MLflow from what was kept of them."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from brats_cascade import tracking
from brats_cascade.errors import UserError
from brats_cascade.evaluation.card import run_note
from brats_cascade.evaluation.summary import summarise
from brats_cascade.record.crossval import crossval_lines
from brats_cascade.record.crossval_result import Crossval
from brats_cascade.record.results import Result

# A restored run has not the tag `experiment`, by which the champion's run is looked for: no network is here.
TAGS = tuple(one for one in tracking.TAGS if one != "experiment")


def restore_result(one: Result, *, name: str, pictures: Sequence[Path], root: Path) -> bool:
    """Puts one experiment into MLflow, unless it is there.

    Args:
        one: The experiment.
        name: Of the record; the run is called NAME: EXPERIMENT.
        pictures: Its pictures on the page.
        root: The project's root.

    Returns:
        Whether it was put there.

    Raises:
        UserError: MLflow cannot be reached.
    """
    title = f"{name}: {one.name}"
    stands_for = one.run["run_id"] or title  # a run that MLflow never held has no id
    if tracking.find_run(stands_for, root=root):
        return False
    tags = {key: one.run[key] for key in TAGS if key in one.run} | {"record": name, "machine": one.run["machine"]}
    with tracking.start_run(
        title, tags=tags, params=one.run["params"], root=root, finish=True, seconds=one.run["seconds"]
    ) as run:
        run.log_summary(one.summary)
        run.log_scores({key: one.run[key] for key in ("seconds", "labelled_pixels", "parameters")}, prefix="training")
        run.log_note(run_note(one.run, summary=one.summary))
        run.log_table(one.cases, name="cases")
        if one.nine is not None:
            run.log_table(one.nine, name="nine_slices")
        run.log_figures({path.stem: path for path in pictures})
        _end(run, stands_for=stands_for)
    return True


def restore_crossval(one: Crossval, *, name: str, root: Path) -> int:
    """Puts a cross-validation into MLflow, a parent and a child a fold, without those that are there.

    Args:
        one: The cross-validation.
        name: Of the record; the parent is called NAME: CROSSVAL, N folds.
        root: The project's root.

    Returns:
        The number of runs put there.

    Raises:
        UserError: MLflow cannot be reached.
    """
    record, folds = one.record, one.record["folds"]
    shared = {"architecture": one.architecture, "record": name}
    params = {key: record[key] for key in ("experiment", "n4", "precision") if key in record} | {"folds": len(folds)}
    params |= record.get("params", {})
    compared = {key: params.get(f"train.{key}") for key in ("class_weights", "normalisation")}
    shared |= {key: str(value) for key, value in compared.items() if value is not None}
    params |= {f"hash.{path}": md5 for path, md5 in record["data_hashes"].items()}
    title = f"{name}: {one.title}, {len(folds)} folds"
    stands_for, made = record["run_id"] or title, 0
    parent = tracking.find_run(stands_for, root=root)
    if not parent:
        tags = {**shared, "crossval": "parent", "git_commit": record["git_commit"]}
        with tracking.start_run(title, tags=tags, params=params, root=root, finish=True, seconds=one.training) as run:
            run.log_scores({"dice": one.validation}, prefix="validation")  # first: MLflow's compare page opens on it
            run.log_scores(one.summary)
            run.log_scores({"seconds": one.training, "labelled_pixels": one.pixels}, prefix="training")
            run.log_table(one.cases, name="cases")
            run.log_note("\n".join(crossval_lines(one)))
            _end(run, stands_for=stands_for)
            parent, made = run.id, 1
    for fold in folds:
        stands_for = fold["run_id"] or f"{title}, fold {fold['fold']}"
        if not tracking.find_run(stands_for, root=root):
            with _fold_run(fold, of=one, shared=shared, params=params, parent=parent, root=root) as run:
                _end(run, stands_for=stands_for)
            made += 1
    return made


@contextlib.contextmanager
def _fold_run(
    fold: Mapping[str, Any],
    *,
    of: Crossval,
    shared: Mapping[str, str],
    params: Mapping[str, Any],
    parent: str,
    root: Path,
) -> Iterator[tracking.Run]:
    cases = of.of_folds([fold["fold"]]).cases
    tags = {**shared, "crossval": "child", "mlflow.parentRunId": parent, "fold": fold["fold"]}
    tags |= {"git_commit": fold.get("git_commit", of.record["git_commit"]), "machine": fold["machine"]}
    title = f"{of.title}, fold {fold['fold']}"
    with tracking.start_run(
        title, tags=tags, params={**params, "fold": fold["fold"]}, root=root, finish=True, seconds=fold["seconds"]
    ) as run:
        run.log_scores({"dice": fold["validation_dice"]}, prefix="validation")
        run.log_scores(summarise(cases, seed=1))
        run.log_scores({key: fold[key] for key in ("seconds", "labelled_pixels")}, prefix="training")
        run.log_table(cases, name="cases")
        yield run


def _end(run: tracking.Run, *, stands_for: str) -> None:
    """Says last what the run stands for: one that was cut short stands for nothing and is made again."""
    run.log_tags({tracking.REPLACES: stands_for})
    if not run.online:
        raise UserError(f"MLflow at {tracking.tracking_uri()}: expected to store runs there, but it did not answer")
