"""Trains one experiment on every fold of a patient-wise cross-validation: python pipelines/crossval.py NAME --folds 7.

Every case is predicted once, by a model that never saw its patient. Not a DVC stage: it takes `folds` times as long as the
experiment's own. Each fold has a folder in .work/crossval with the ingested cases linked into it, and there the pipeline's
own stages run: split, patches, train, evaluate. Killed, the same command goes on where it was; other settings or other data
start anew. It writes reports/crossval/NAME; in MLflow one parent run holds the summary, with one child run a fold (and
below it that of the CNN 1 which a cascade builds on).
"""

import argparse
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from _stage import experiment_named
from ablation import _run, in_order

from brats_cascade import provenance
from brats_cascade.config import Params, load_params
from brats_cascade.errors import UserError

WORK, REPORT = Path(".work/crossval"), Path("reports/crossval")
LINKED = ("data/volumes", "data/cases.parquet", "data/verdict.json")
DATA = ("data/volumes", "data/cases.parquet")  # those of them that DVC hashes


def main(params: Params, *, name: str, folds: int) -> None:
    """Runs every fold, then writes and logs the summary."""
    from brats_cascade import tracking
    from brats_cascade.record.crossval import crossval_lines
    from brats_cascade.record.results import Crossval

    folder, root, order = WORK / name, Path.cwd(), in_order(params, [name])
    for path in LINKED:
        if not Path(path).exists():
            raise UserError(f"{path}: not found; run `dvc repro patches` first, in the project's root")
    commit = provenance.git_commit(root)
    hashes = {path: md5 for path, md5 in provenance.data_hashes(root).items() if path in DATA}
    wanted = {
        "experiment": name, "folds": folds, "split.seed": params.split.seed, "split.validation": params.split.validation,
        **{f"train.{key}": value for key, value in experiment_named(params, name).train.model_dump().items()},
        **{f"hash.{path}": md5 for path, md5 in hashes.items()},
        "settings": _digest(params, order=order, folds=folds, hashes=hashes),
    }  # fmt: skip
    note = _read(folder / "run.json")
    if note and note["params"]["settings"] != wanted["settings"]:
        logging.info("%s: of other settings or data; the cross-validation starts anew", folder)
        shutil.rmtree(folder)
    tags = {"crossval": "parent", "architecture": params.experiments[name].architecture, "git_commit": commit}
    with _run(folder / "run.json", name=f"{name}, {folds} folds", tags=tags, params=wanted) as parent:
        for fold in range(folds):
            place = folder / f"fold{fold}"
            _prepare(place, order=order, folds=folds, fold=fold)
            for words in (
                ("split",),
                ("patches",),
                *((stage, one) for one in order for stage in ("train", "evaluate")),
            ):
                _stage(place, words, root=root)
            above = parent.id
            for one in reversed(order):  # the experiment itself, then its CNN 1 below it
                record = _read(place / "models" / one / "run.json")
                with tracking.resume_run(record["run_id"], name=one, params=record["params"]) as child:
                    child.log_tags({"mlflow.parentRunId": above, "crossval": "child", "git_commit": commit})
                above = record["run_id"]
        cases, summary = summarise_folds(folder, order=order, folds=folds, seed=params.experiments[name].train.seed)
        summary |= {"git_commit": commit, "data_hashes": hashes, "run_id": parent.id}
        summary |= {"source": params.data.source, "n4": params.ingest.n4}
        (REPORT / name).mkdir(parents=True, exist_ok=True)
        cases.to_csv(REPORT / name / "cases.csv", index=False)
        (REPORT / name / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        parent.log_scores(summary["scores"])
        parent.log_table(cases, name="cases")
    sys.stdout.write("\n".join(crossval_lines(Crossval(summary, cases))) + "\n")


def summarise_folds(folder: Path, *, order: list[str], folds: int, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Gathers what the folds left.

    Args:
        folder: Of the folds' folders.
        order: The experiment, last, after the one it builds on.
        folds: Their number.
        seed: Of the bootstrap.

    Returns:
        All cases with their fold, and the summary: "scores" as metrics/E.json over all cases, "folds" (cases, training
        seconds and labelled pixels, those of a CNN 1 included, validation Dice, MLflow run), and how it was made.
    """
    from brats_cascade.evaluation.summary import summarise

    name, tables, rows = order[-1], [], []
    for fold in range(folds):
        place = folder / f"fold{fold}"
        table = pd.read_csv(place / "metrics" / name / "cases.csv", dtype={"case": str, "patient": str})
        splits, scores = _read(place / "data/splits.json"), _read(place / "metrics" / f"{name}.json")
        records = [_read(place / "models" / one / "run.json") for one in order]
        tables.append(table.assign(fold=fold))
        rows.append(
            {
                "fold": fold,
                **{part: len(splits[part]) for part in ("train", "validation", "test")},
                "seconds": round(sum(record["seconds"] for record in records), 1),
                "labelled_pixels": sum(record["labelled_pixels"] for record in records),
                "validation_dice": scores["validation"]["dice"],
                "run_id": records[-1]["run_id"],
                "machine": records[-1]["machine"],
            }
        )
    cases = pd.concat(tables, ignore_index=True).sort_values("case", ignore_index=True)
    made = {key: records[-1][key] for key in ("architecture", "release", "classes")}
    return cases, {"experiment": name, **made, "scores": summarise(cases, seed=seed), "folds": rows}


def _prepare(place: Path, *, order: list[str], folds: int, fold: int) -> None:
    """A project's folder for one fold: its params.yaml, and links to the cases."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe")
    tree = yaml.load(Path("params.yaml"))
    tree["split"] |= {"folds": folds, "fold": fold, "lists": {"validation": [], "test": []}}
    tree["experiments"] = {name: tree["experiments"][name] for name in order}
    tree.pop("sweep", None)
    (place / "data").mkdir(parents=True, exist_ok=True)
    yaml.dump(tree, place / "params.yaml")
    for path in LINKED:
        if not (place / path).exists():
            (place / path).symlink_to(Path(path).resolve())


def _stage(place: Path, words: tuple[str, ...], *, root: Path) -> None:
    """Runs one stage in a fold's folder, unless it has ended well there before."""
    mark = place / ".done" / "-".join(words)
    if mark.is_file():
        return
    script = Path(__file__).with_name(f"{words[0]}.py").resolve()
    environment = {"DVC_ROOT": str(root), **os.environ}  # where the MLflow runs go
    logging.info("%s: %s", place, " ".join(words))
    done = subprocess.run([sys.executable, str(script), *words[1:]], cwd=place, env=environment)
    if done.returncode:
        raise UserError(
            f"{place}: {' '.join(words)} ended with status {done.returncode}, for the reason above; mend it and start the "
            "same command again: it goes on here"
        )
    mark.parent.mkdir(exist_ok=True)
    mark.touch()


def _digest(params: Params, *, order: list[str], folds: int, hashes: dict[str, str]) -> str:
    """Stands for everything that decides the outcome."""
    blocks = [params.split.seed, params.split.validation, params.patches, params.evaluate]
    parts = [*blocks, *(params.experiments[name] for name in order), params.ingest, folds, sorted(hashes.items())]
    parts.append(_read(Path("data/verdict.json")).get("accepted"))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


if __name__ == "__main__":
    logging.basicConfig(level="INFO", format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", help="of params.yaml")
    parser.add_argument(
        "--folds", type=int, default=7, help="number of folds; the test set of each is about 1 in so many"
    )
    given = parser.parse_args()
    try:
        main(load_params(), name=given.experiment, folds=given.folds)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
