"""Repeats of the same experiments with other seeds and folds, run by DVC: their scores in one table, and what they say.

`dvc exp run --queue -S 'train.seed=1,2,3'` and `-S 'split.fold=range(0,7)'` make the DVC experiments; nothing is trained here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from brats_cascade.errors import UserError
from brats_cascade.params.file import read_tree
from brats_cascade.project import Project
from brats_cascade.report.repeats import describe

RUN = ("experiment", "folds", "fold", "seed")


def repeat(root: Path) -> str:
    """Writes reports/repeat.csv, a row per experiment, fold, seed and case, and reports/repeat.md, which it returns.

    Raises:
        UserError: No DVC experiment with the settings of params.yaml has been evaluated.
    """
    from dvc.api import DVCFileSystem, exp_show

    wanted, tables = _without_repeats(read_tree(root / "params.yaml")), []
    for shown in exp_show(str(root)):
        if shown["rev"] != "workspace" and shown["State"] in (None, "Success"):
            tables += _scores(DVCFileSystem(str(root), rev=shown["rev"]), wanted=wanted)
    if not tables:
        raise UserError(
            f"{root / 'params.yaml'}: no evaluated DVC experiment on this commit has these settings; queue some with "
            "dvc exp run --queue -S 'train.seed=1,2,3', then dvc queue start"
        )
    rows = pd.concat(tables, ignore_index=True).drop_duplicates([*RUN, "case"]).sort_values([*RUN, "case"])
    Project(root).reports.mkdir(exist_ok=True)
    rows.to_csv(Project(root).reports / "repeat.csv", index=False)
    (Project(root).reports / "repeat.md").write_text(describe(rows), encoding="utf-8")
    return describe(rows)


def _scores(files: Any, *, wanted: dict[str, Any]) -> list[pd.DataFrame]:
    """The scored cases of one DVC experiment, a table per experiment of params.yaml that was evaluated with its settings."""
    if not (files.isfile("params.yaml") and files.isfile("dvc.lock")):
        return []
    params, lock = (YAML(typ="safe").load(files.read_text(name)) for name in ("params.yaml", "dvc.lock"))
    if _without_repeats(params) != wanted:
        return []
    split, tables = params["split"], []
    for name, entry in params["experiments"].items():
        if _is_current(f"evaluate@{name}", stages=lock["stages"], params=params):
            with files.open(f"metrics/{name}/cases.csv", mode="r") as file:
                cases = pd.read_csv(file, dtype={"case": str, "patient": str})
            seed = entry.get("seed", params["train"]["seed"])
            run = (name, split.get("folds", 0), split.get("fold", 0), seed)
            tables.append(cases.assign(**dict(zip(RUN, run, strict=True))))
    return tables


def _without_repeats(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters but for the fold and the seed of the training."""
    left_out = {"split": ("folds", "fold"), "train": ("seed",)}
    return {
        block: {key: value for key, value in keys.items() if key not in left_out[block]} if block in left_out else keys
        for block, keys in params.items()
    }


def _is_current(stage: str, *, stages: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Whether dvc.lock has a stage with these parameters, and with what the stages before it wrote with these parameters."""
    if stage not in stages:
        return False
    makers = {out["path"]: (name, out["md5"]) for name, made in stages.items() for out in made.get("outs", [])}
    for key, value in stages[stage].get("params", {}).get("params.yaml", {}).items():
        now: Any = params
        for part in key.split("."):
            now = now.get(part) if isinstance(now, Mapping) else None
        if now != value:
            return False
    needed = [(dep["md5"], *makers[dep["path"]]) for dep in stages[stage].get("deps", []) if dep["path"] in makers]
    return all(md5 == made and _is_current(name, stages=stages, params=params) for md5, name, made in needed)
