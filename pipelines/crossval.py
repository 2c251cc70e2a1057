"""Trains one experiment on every fold of a patient-wise cross-validation: python pipelines/crossval.py NAME --folds 7.

Every case is predicted once, by a model that never saw its patient. Not a DVC stage: it takes `folds` times as long as the
experiment's own. Each fold has a folder in .work/crossval with the ingested cases linked into it, and there the pipeline's
own stages run: split, patches, train, evaluate. Killed, the same command goes on where it was; what depends on other settings
or other data is made anew. Experiments with equally many folds share their folders, and so a CNN 1, and a phase 1, that
several of them begin with. A finished fold leaves two small files, which a folder given by --share keeps: folds can be
trained on several machines (--only 0 1 on one, --only 2 3 on another) or over several days, and whichever finds all of them
in that folder writes reports/crossval/NAME. In MLflow one parent run holds the summary, with one child run a fold trained
there (and below it that of the CNN 1 which a cascade builds on).
"""

import argparse
import hashlib
import json
import logging
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _fold_project import LINKED, prepare, run_stage, text_of
from _folds import gather_fold, keep_fold, kept_fold, run_in_fold, summarise_folds
from _side_by_side import side_by_side
from _stage import experiment_named
from ablation import _run, in_order

from brats_cascade import provenance
from brats_cascade.config import Params, load_params
from brats_cascade.errors import UserError

WORK, REPORT = Path(".work/crossval"), Path("reports/crossval")
DATA = ("data/volumes", "data/cases.parquet")  # what DVC hashes of that which a fold gets


def main(
    params: Params,
    *,
    name: str,
    folds: int,
    only: Sequence[int] = (),
    share: Path | None = None,
    note: str = "",
    at_once: int = 1,
) -> None:
    """Runs the folds that are not done yet, then writes and logs the summary once all are.

    Args:
        params: The checked parameters.
        name: Of the experiment.
        folds: Their number.
        only: The folds to run now; empty for all.
        share: The folder of what finished folds leave; None for one of this machine alone.
        note: For the record: what the numbers do not tell of the machines, such as that folds shared one.
        at_once: Folds to train side by side, at least 1.

    Raises:
        UserError: Nothing was ingested, `only` names no fold, `at_once` is below 1, a stage failed, or `share` holds a fold of
            other settings.
    """
    from brats_cascade.record.crossval import crossval_lines
    from brats_cascade.record.crossval_result import Crossval
    from brats_cascade.record.results import INGESTED

    folder, root, order = WORK / name, Path.cwd(), in_order(params, [name])
    for path in LINKED:
        if not Path(path).exists():
            raise UserError(f"{path}: not found; run `dvc repro patches` first, in the project's root")
    if at_once < 1:
        raise UserError(f"--at-once: expected 1 or more, received {at_once}")
    if strange := set(only) - set(range(folds)):
        raise UserError(
            f"--only: expected folds from 0 to {folds - 1}, received {', '.join(map(str, sorted(strange)))}"
        )
    commit = provenance.git_commit(root)
    hashes = {path: md5 for path, md5 in provenance.data_hashes(root).items() if path in DATA}
    scans = {"voxels": provenance.scans_hash(root / DATA[1]), **params.ingest.model_dump(include=set(INGESTED))}
    keys = _keys(params, order=order, folds=folds, scans=scans)
    settings = keys[f"evaluate-{name}"]
    wanted = {
        "experiment": name, "folds": folds, "split.seed": params.split.seed, "split.validation": params.split.validation,
        **{f"train.{key}": value for key, value in experiment_named(params, name).train.model_dump().items()},
        **{f"hash.{path}": md5 for path, md5 in hashes.items()},
        "settings": settings,
    }  # fmt: skip
    begun, kept = _read(folder / "run.json"), share or folder / "done"
    stale = bool(begun) and begun["params"]["settings"] != settings
    done = {fold: kept_fold(kept, number=fold, settings=settings) for fold in range(folds) if share or not stale}
    if stale:
        logging.info("%s: of other settings or data; the cross-validation starts anew", folder)
        shutil.rmtree(folder)
    entry = experiment_named(params, name)
    tags = {"crossval": "parent", "architecture": entry.architecture, "git_commit": commit}
    tags |= {"class_weights": entry.train.class_weights, "normalisation": entry.train.normalisation}
    with _run(folder / "run.json", name=f"{name}, {folds} folds", tags=tags, params=wanted) as parent:
        logging_turn = threading.Lock()

        def train(fold: int) -> None:
            place = WORK / f"{folds}_folds" / f"fold{fold}"
            prepare(place, order=order, folds=folds, fold=fold, hashes=hashes)
            for stage, key in keys.items():
                run_stage(place, stage, key=key, root=root)
            with logging_turn:
                _log_children(place, order=order, keys=keys, parent=parent.id, commit=commit)
            done[fold] = one = gather_fold(place, order=order, fold=fold)
            keep_fold(kept, fold=one, settings=settings)

        side_by_side(train, items=[fold for fold in only or range(folds) if not done.get(fold)], at_once=at_once)
        if missing := [fold for fold in range(folds) if not done.get(fold)]:
            waits = ", ".join(map(str, missing))
            sys.stdout.write(f"{folds - len(missing)} of {folds} folds are in {kept}; the summary waits for {waits}\n")
            return
        finished = [one for _, one in sorted(done.items()) if one]
        cases, summary = summarise_folds(finished, name=name, seed=params.experiments[name].train.seed)
        summary |= {"data_hashes": hashes, "scans": scans, "run_id": parent.id, "params": wanted}
        precision = experiment_named(params, name).train.precision
        summary |= {"source": params.data.source, "n4": params.ingest.n4, "precision": precision, "note": note}
        (REPORT / name).mkdir(parents=True, exist_ok=True)
        cases.to_csv(REPORT / name / "cases.csv", index=False)
        (REPORT / name / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        parent.log_scores({"dice": Crossval(summary, cases).validation}, prefix="validation")
        parent.log_scores(summary["scores"])
        parent.log_table(cases, name="cases")
    sys.stdout.write("\n".join(crossval_lines(Crossval(summary, cases))) + "\n")


def _log_children(place: Path, *, order: Sequence[str], keys: dict[str, str], parent: str, commit: str) -> None:
    """Puts a fold's runs below the parent: the experiment itself, then its CNN 1 below the first experiment that trained it."""
    from brats_cascade import tracking

    for one in reversed(order):
        record, mark = run_in_fold(place, name=one), place / ".done" / f"logged-{one}"
        if text_of(mark) != keys[f"train-{one}"]:
            with tracking.resume_run(
                record["run_id"], name=one, params=record["params"], reopen=False, seconds=record.get("seconds")
            ) as child:
                child.log_tags({"mlflow.parentRunId": parent, "crossval": "child", "git_commit": commit})
            mark.write_text(keys[f"train-{one}"], encoding="utf-8")
        parent = record["run_id"]


def _keys(params: Params, *, order: Sequence[str], folds: int, scans: dict[str, Any]) -> dict[str, str]:
    """Stage -> what stands for everything that decides its outcome, in the order in which the stages run."""
    data = [sorted(scans.items()), folds, _read(Path("data/verdict.json")).get("accepted")]
    split = [params.split.seed, params.split.validation, "drawn later in every fold", *data]  # changes with fold_split
    keys = {"split": split, "patches": [*split, params.patches]}
    for name in order:
        entries = [params.experiments[one] for one in in_order(params, [name])]
        needed = [entry.model_dump(exclude={"train": {"checkpoint_steps", "devices"}}) for entry in entries]
        keys[f"train-{name}"] = [*keys["patches"], *needed]
        keys[f"evaluate-{name}"] = [*keys[f"train-{name}"], params.evaluate]
    return {stage: hashlib.sha256(repr(parts).encode()).hexdigest()[:16] for stage, parts in keys.items()}


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


if __name__ == "__main__":
    logging.basicConfig(level="INFO", format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", help="of params.yaml")
    parser.add_argument(
        "--folds", type=int, default=7, help="number of folds; the test set of each is about 1 in so many"
    )
    parser.add_argument("--only", type=int, nargs="+", default=(), metavar="FOLD", help="train these folds alone")
    parser.add_argument("--share", type=Path, help="folder of finished folds, also those of other machines")
    parser.add_argument("--note", default="", help="for the record: that several folds shared one machine, say")
    parser.add_argument("--at-once", type=int, default=1, help="folds to train side by side, on a GPU that they share")
    given = parser.parse_args()
    try:
        words = {key: value for key, value in vars(given).items() if key != "experiment"}
        main(load_params(), name=given.experiment, **words)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
