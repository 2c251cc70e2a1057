"""Collects repeats of experiments with other seeds and folds, run by DVC, in one table with a summary.

`dvc exp run --queue -S 'train.seed=1,2,3'` and `-S 'split.fold=range(0,7)'` create the DVC experiments; this module trains
nothing.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from brats_cascade.costs import by_process
from brats_cascade.errors import UserError, one_line
from brats_cascade.params.file import read_tree
from brats_cascade.project import Project
from brats_cascade.provenance import is_current
from brats_cascade.report.repeats import describe
from brats_cascade.shared import write_text

RUN = ["experiment", "folds", "fold", "seed"]


def repeat(root: Path) -> str:
    """Writes reports/repeat.csv, one row per experiment, fold, seed and case, and reports/repeat.md, which it also returns."""
    from dvc.api import DVCFileSystem, exp_show
    from dvc.exceptions import DvcException

    wanted, reports, tables = _settings(read_tree(root / "params.yaml")), Project(root).reports, []
    try:
        experiments = exp_show(str(root))
    except DvcException as error:
        raise UserError(
            f"{root}: DVC lists no experiments here ({one_line(error)}); run this in a clone made by git"
        ) from None
    for made in experiments:
        if made["rev"] != "workspace" and made["State"] in (None, "Success"):
            tables += _scores(DVCFileSystem(str(root), rev=made["rev"]), wanted=wanted)
    if not tables:
        raise UserError(
            f"{root / 'params.yaml'}: no evaluated DVC experiment on this commit has these settings; queue some with "
            "dvc exp run --queue -S 'train.seed=1,2,3', then dvc queue start"
        )
    rows = pd.concat(tables, ignore_index=True).drop_duplicates([*RUN, "case"]).sort_values([*RUN, "case"])
    reports.mkdir(exist_ok=True)
    write_text(reports / "repeat.csv", rows.to_csv(index=False))
    write_text(reports / "repeat.md", describe(rows))
    return describe(rows)


def _scores(files: Any, *, wanted: dict[str, Any]) -> list[pd.DataFrame]:
    """The scored cases of one DVC experiment: a table per experiment of params.yaml that was evaluated with its settings."""
    if not (files.isfile("params.yaml") and files.isfile("dvc.lock")):
        return []
    params, lock = (YAML(typ="safe").load(files.read_text(name)) for name in ("params.yaml", "dvc.lock"))
    split, tables = params["split"], []
    for name, entry in params["experiments"].items() if _settings(params) == wanted else ():
        if is_current(f"evaluate@{name}", stages=lock["stages"], params=params):
            try:
                with files.open(f"metrics/{name}/cases.csv", mode="r") as file:
                    cases = pd.read_csv(file, dtype={"case": str, "patient": str})
            except FileNotFoundError:  # dvc.lock is in git, the scores are in DVC's cache
                raise UserError(
                    f"metrics/{name}/cases.csv: evaluated, but not on this machine; run `dvc pull` or `dvc repro`"
                ) from None
            run = (name, split.get("folds", 0), split.get("fold", 0), entry.get("seed", params["train"]["seed"]))
            own = cases.assign(**dict(zip(RUN, run, strict=True)))
            tables.append(own.assign(**_spent(files, name=name, builds_on=entry.get("builds_on", ""), cases=cases)))
    return tables


def _spent(files: Any, *, name: str, builds_on: str, cases: pd.DataFrame) -> dict[str, Any]:
    """The cost of a DVC experiment as columns: training_seconds (including the CNN 1 it builds on), machine, seconds."""
    place, _, cnn1 = builds_on.partition("/")
    read = [_costs(files, name=one) for one in ([name, cnn1] if place == "models" else [name])]
    seconds = [one.get("training", {}).get("seconds") for one in read]
    each = read[0].get("evaluation", {}).get("seconds", {})
    return {
        "training_seconds": sum(seconds) if None not in seconds else None,
        "machine": read[0].get("training", {}).get("machine", ""),
        "seconds": cases["case"].map(each),
    }


def _costs(files: Any, *, name: str) -> dict[str, Any]:
    """metrics/costs/NAME.json of a DVC experiment; empty if there is none."""
    path = f"metrics/costs/{name}.json"
    return by_process(json.loads(files.read_text(path))) if files.isfile(path) else {}


def _settings(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters except the fold and the training seed."""
    split = {key: value for key, value in params["split"].items() if key not in ("folds", "fold")}
    return {**params, "split": split, "train": {**params["train"], "seed": None}}
