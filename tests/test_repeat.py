"""Scores of DVC experiments that differ in seed and fold alone, joined to one table."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from tiny import WHO, git

from brats_cascade.errors import UserError
from brats_cascade.report.repeats import describe
from brats_cascade.stages.repeat import repeat

DICE = {"two_path": 0.5, "unet": 0.7}


def _write(
    folder: Path, *, seed: int, fold: int | None = None, steps: int = 6, evaluated: tuple[str, ...] = tuple(DICE)
) -> None:
    """What a finished run leaves: parameters, DVC's lock file and the scores of the experiments that it evaluated."""
    split = {"seed": 1, "folds": 2 if fold is not None else 0, "fold": fold or 0}
    params = {
        "split": split,
        "train": {"seed": seed, "steps": steps},
        "experiments": {"two_path": {}, "unet": {"builds_on": "models/two_path"}},
    }
    made = f"{split}"
    stages = {
        "split": {"params": {"params.yaml": {"split": split}}, "outs": [{"path": "data/splits.json", "md5": made}]}
    }
    for name in DICE:
        train = params["train"] if name in evaluated else {"seed": 1, "steps": 6}
        needed = [{"path": "data/splits.json", "md5": made if name in evaluated else "older"}]
        network = {"path": f"models/{name}", "md5": f"{name} {train} {needed}"}
        stages[f"train@{name}"] = {"deps": needed, "params": {"params.yaml": {"train": train}}, "outs": [network]}
        stages[f"evaluate@{name}"] = {"deps": [network, needed[0]]}
        cases = pd.DataFrame({"case": [f"{fold}_a", f"{fold}_b"], "patient": [f"{fold}_a", f"{fold}_b"]})
        scores = {
            f"{region}_dice": [DICE[name], DICE[name] + seed / 50] for region in ("complete", "core", "enhancing")
        }
        (folder / "metrics" / name).mkdir(parents=True, exist_ok=True)
        cases.assign(**scores).to_csv(folder / f"metrics/{name}/cases.csv", index=False)
        spent = [
            {"what": "training", "seconds": 60.0 + seed, "machine": "2 cores"},
            {"what": "evaluation", "seconds": {f"{fold}_a": 2.0, f"{fold}_b": 3.0}},
        ]
        (folder / "metrics/costs").mkdir(exist_ok=True)
        (folder / f"metrics/costs/{name}.json").write_text(json.dumps({"processes": spent}))
    for name, tree in {"params.yaml": params, "dvc.lock": {"schema": "2.0", "stages": stages}}.items():
        YAML(typ="safe").dump(tree, folder / name)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiments as DVC keeps them, commits below refs/exps on top of the last commit of the branch."""
    folder = tmp_path_factory.mktemp("repeat")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("")
    _write(folder, seed=1)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "results")
    head = git(folder, "rev-parse", "HEAD").strip()
    runs = {
        "seed2": {"seed": 2}, "longer": {"seed": 3, "steps": 7}, "fold0": {"seed": 1, "fold": 0, "evaluated": ("two_path",)},
        "fold1": {"seed": 1, "fold": 1}, "other": {"seed": 4, "evaluated": ("unet",)},
    }  # fmt: skip
    for name, settings in runs.items():
        _write(folder, **settings)
        git(folder, "commit", "-qam", name)
        git(folder, "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", "HEAD")
        git(folder, "reset", "-q", "--hard", head)
    return folder


@pytest.mark.slow
def test_runs_that_differ_in_seed_and_fold_are_joined_and_what_was_not_evaluated_anew_is_left_out(
    project: Path,
) -> None:
    text = repeat(project)
    rows = pd.read_csv(project / "reports/repeat.csv")
    found = rows.groupby(["experiment", "folds", "fold", "seed"]).size().reset_index().to_numpy().tolist()
    assert found == [
        ["two_path", 0, 0, 1, 2], ["two_path", 0, 0, 2, 2], ["two_path", 2, 0, 1, 2], ["two_path", 2, 1, 1, 2],
        ["unet", 0, 0, 1, 2], ["unet", 0, 0, 2, 2], ["unet", 0, 0, 4, 2], ["unet", 2, 1, 1, 2],
    ]  # fmt: skip
    two_path, unet = (rows[(rows["experiment"] == name) & (rows["seed"] == 2)] for name in DICE)
    assert two_path["training_seconds"].tolist() == [62, 62] and two_path["machine"].tolist() == ["2 cores"] * 2
    assert unet["training_seconds"].tolist() == [124, 124]  # with those of the two_path that it builds on
    assert unet["seconds"].tolist() == [2, 3]
    # The mean of 0.5 and 0.5 + seed / 50 is 0.51 and 0.52.
    assert f"| two_path | 2 | 2 | 0.515 ± {np.std([0.51, 0.52], ddof=1):.3f} |" in text
    assert "| two_path | 1 | 2 | 4 | 0.510 [0.500, 0.520] |" in text
    assert (project / "reports/repeat.md").read_text() == text


def test_a_difference_says_in_how_many_seeds_it_has_its_sign() -> None:
    dice = {("a", 1): 0.6, ("a", 2): 0.8, ("b", 1): 0.5, ("b", 2): 0.9, ("c", 1): 0.4, ("c", 2): 0.5}
    rows = pd.DataFrame(
        {"experiment": name, "folds": 0, "fold": 0, "seed": seed, "case": case, "patient": case,
         **dict.fromkeys(("complete_dice", "core_dice", "enhancing_dice"), value)}
        for (name, seed), value in dice.items() for case in ("x", "y")
    )  # fmt: skip
    lines = {
        line.split(" | ")[0].strip("| "): line.split(" | ")[1:3]
        for line in describe(rows).splitlines()
        if " - " in line
    }
    assert lines == {
        "a - b": ["2", "+0.000, no common sign"],
        "a - c": ["2", "+0.250, same sign with every seed"],
        "b - c": ["2", "+0.250, same sign with every seed"],
    }


def test_a_seed_that_lacks_folds_is_left_out_and_named() -> None:
    rows = pd.DataFrame(
        {"experiment": name, "folds": 3, "fold": fold, "seed": seed, "case": f"{fold}", "patient": f"{fold}",
         **dict.fromkeys(("complete_dice", "core_dice", "enhancing_dice"), (0.9, 0.5, 0.4)[fold] + (name == "b") * 0.1 * fold)}
        for name, seed, folds in (("a", 1, 3), ("a", 2, 1), ("b", 1, 3)) for fold in range(folds)
    )  # fmt: skip
    text = describe(rows)
    assert "| a | 1 | 3 | 3 | 0.600 " in text and "| b | 1 | 3 | 3 | 0.700 " in text
    assert "a with seed 2 (1 of 3 cases)" in text
    assert "| a - b | 1 | -0.100, one seed |" in text
    twice = pd.concat([rows, rows[rows["experiment"] == "b"].assign(seed=2)])
    assert "| a - b | 1 | -0.100, one seed |" in describe(twice) and "| b | 2 | 3 | 3 | 0.700 " in describe(twice)


@pytest.mark.slow
def test_scores_that_are_not_on_this_machine_are_one_line(project: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(project), str(clone))
    git(clone, "rm", "-q", "metrics/two_path/cases.csv")  # as in a clone without DVC's cache
    git(clone, "commit", "-qm", "scores are not in git")
    with pytest.raises(UserError, match=r"metrics/two_path/cases\.csv: .* run `dvc pull` or `dvc repro`"):
        repeat(clone)


def test_without_experiments_the_command_that_makes_them_is_named(tmp_path: Path) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, **WHO}
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("")
    _write(tmp_path, seed=1)
    (tmp_path / "dvc.lock").unlink()
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run(["git", *words], cwd=tmp_path, env=environment, check=True)
    with pytest.raises(UserError, match="dvc exp run --queue"):
        repeat(tmp_path)


def test_a_folder_that_git_does_not_know_is_one_line(tmp_path: Path) -> None:
    _write(tmp_path, seed=1)
    with pytest.raises(UserError, match=r"DVC lists no experiments here .* in a clone made by git"):
        repeat(tmp_path)
