"""params.yaml: what is accepted, and the one line that a mistake gets."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from brats_cascade.errors import UserError
from brats_cascade.params import load_params
from brats_cascade.params.file import read_tree, write_params

ROOT = Path(__file__).parents[1]


def _params(folder: Path, change) -> Path:
    yaml, path = YAML(), folder / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    tree = yaml.load(path)
    change(tree)
    yaml.dump(tree, path)
    return path


def test_the_shipped_file_is_valid_and_overrides_apply(tmp_path: Path) -> None:
    def change(tree) -> None:
        tree["experiments"]["input_cascade"]["width"] = 0.5

    params = load_params(_params(tmp_path, change))
    assert params.experiments["input_cascade"].train.width == 0.5
    assert params.experiments["two_path"].train.width == params.train.width != 0.5
    assert params.experiments["input_cascade"].cnn1 == "two_path"
    assert params.experiments["two_path"].cnn1 is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree["train"].update(learning_rat=1), "unknown key 'train.learning_rat'; did you mean 'learning_rate'"),
        (
            lambda tree: tree["train"].update(learning_rte=tree["train"].pop("learning_rate")),
            "unknown key 'train.learning_rte'; did you mean 'learning_rate'",
        ),
        (
            lambda tree: tree["experiments"]["input_cascade"].update(axes="all"),
            "experiments.input_cascade.axes: input_cascade can only be used along one axis; expected 'one', got 'all'",
        ),
        (lambda tree: tree.update(trian={}), "unknown key 'trian'; did you mean 'train'"),
        (lambda tree: tree["ingest"].update(clip="much"), "ingest.clip: .* found 'much'"),
        (lambda tree: tree["train"].pop("tile"), "tile' is missing; see docs/params.md"),
        (lambda tree: tree["experiments"]["two_path"].update(widht=1), "experiments.two_path.* did you mean 'width'"),
        (
            lambda tree: tree["experiments"]["coarse_cascade"].update(builds_on="models/two_path"),
            r"experiments.coarse_cascade.builds_on: coarse_cascade trains its own CNN 1; expected data/patches",
        ),
        (
            lambda tree: tree["experiments"]["coarse_cascade"].update(sampler="patches"),
            r"experiments.coarse_cascade.sampler: coarse_cascade needs 'tiles', found 'patches'",
        ),
        (
            lambda tree: tree["experiments"]["input_cascade"].update(builds_on="models/nothing"),
            r"experiments.input_cascade.builds_on: expected models/NAME of a two_path experiment, .* found 'models/nothing'",
        ),
        (lambda tree: tree["experiments"]["input_cascade"].update(architecture="vnet"), "architecture: .* found 'vnet'"),
        (lambda tree: tree["data"].update(source=""), "data.source: .* at least 1 character, found ''"),
        (lambda tree: tree["split"].update(seed=-1), "split.seed: .* greater than or equal to 0, found -1"),
        (lambda tree: tree["train"].update(seed=2**32), "train.seed: .* less than 4294967296, found 4294967296"),
        (lambda tree: tree["train"].update(learning_rate=float("inf")), "train.learning_rate: .* finite number, found inf"),
        (lambda tree: tree["train"].update(steps=True), "train.steps: expected a number, found True"),
        (lambda tree: tree["split"].update(folds=1), r"split.folds: expected 0 \(off\) or at least 2, found 1"),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_line_with_the_cure(tmp_path: Path, change, message: str) -> None:
    path = _params(tmp_path, change)
    with pytest.raises(UserError, match=message) as caught:
        load_params(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["a.b", "lr=0.01", "a b", "-x", "a$b", "a@b", "a/b", "2024", "Übung", "yes", "data", "Costs", "x" * 101, "", 2024, 1.5,
     None, True],
)  # fmt: skip
def test_a_name_that_is_no_stage_and_no_folder_is_refused(tmp_path: Path, name) -> None:
    path = _params(tmp_path, lambda tree: tree["experiments"].update({name: dict(tree["experiments"]["two_path"])}))
    with pytest.raises(UserError, match="experiments: ") as caught:
        load_params(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert str(name) in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["a", "b"], ["-x"]])  # as DVC starts the stages of `a b` and `-x`
def test_a_stage_refuses_the_name_before_its_own_words(tmp_path: Path, words: list[str]) -> None:
    _params(tmp_path, lambda tree: tree["experiments"].update({" ".join(words): dict(tree["experiments"]["two_path"])}))
    command = [sys.executable, str(ROOT / "pipelines/train.py"), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"the name {' '.join(words)!r} cannot be used" in done.stderr


@pytest.mark.parametrize("name", ["a", "Two-Path_3", "phase1", "crossval", "ablation", "sweep", "train", "x" * 100])
def test_other_names_are_free(tmp_path: Path, name: str) -> None:
    path = _params(tmp_path, lambda tree: tree["experiments"].update({name: dict(tree["experiments"]["two_path"])}))
    assert name in load_params(path).experiments


def test_names_that_differ_in_capitals_alone_are_refused(tmp_path: Path) -> None:
    path = _params(tmp_path, lambda tree: tree["experiments"].update({"Unet": dict(tree["experiments"]["unet"])}))
    with pytest.raises(UserError, match="unet and Unet"):
        load_params(path)


@pytest.mark.parametrize(
    ("experiments", "found"),
    [
        ("[a]", "['a']"), ("null", "nothing"), ("{}", "nothing"), ("text", "'text'"), ("{a: null}", "experiments.a: .*nothing"),
        ("{a: [1]}", "experiments.a: .*[1]"), ("{a: {architecture: unet, train: {width: 1}}}", "experiments.a.train"),
    ],
)  # fmt: skip
def test_experiments_that_are_no_mapping_get_one_line(tmp_path: Path, experiments: str, found: str) -> None:
    path = tmp_path / "params.yaml"
    head = (ROOT / "params.yaml").read_text(encoding="utf-8").partition("\nexperiments:")[0]
    path.write_text(f"{head}\nexperiments: {experiments}\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert "\n" not in str(caught.value)
    assert found.rpartition(".*")[0] in str(caught.value) and found.rpartition(".*")[2] in str(caught.value)


@pytest.mark.parametrize("text", ["train: [1, 2", "train: 1\ntrain: 2\n", "a: b: c", "\x07", "- 1", ""])
def test_what_is_no_mapping_of_blocks_gets_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_what_is_written_is_read_back_and_one_change_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    tree = read_tree(ROOT / "params.yaml")
    write_params(path, tree)
    assert read_tree(path) == tree
    before = path.read_text(encoding="utf-8").splitlines()
    tree["train"]["learning_rate"] = 0.25
    write_params(path, tree)
    after = path.read_text(encoding="utf-8").splitlines()
    changed = [number for number, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    assert [after[number] for number in changed] == ["  learning_rate: 0.25"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["params.yaml"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run this from the project's root"):
        load_params(tmp_path / "params.yaml")


def test_every_key_is_documented() -> None:
    """docs/params.md names every key of params.yaml's stages."""
    page = (ROOT / "docs/params.md").read_text(encoding="utf-8")
    tree = YAML(typ="safe").load(ROOT / "params.yaml")
    missing = [
        f"{stage}.{key}"
        for stage, block in tree.items()
        if stage != "experiments"
        for key in block
        if f"`{key}`" not in page and f"`{stage}.{key}`" not in page
    ]
    assert missing == []


def test_an_edit_leaves_comments_and_every_other_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    before = "# mine\ntrain:\n  l2: 1.0e-05  # small\n  flip: true\nevaluate:\n  sizes:\n  - 0\n  - 50\nnone: ''\n"
    path.write_text(before, encoding="utf-8")
    tree = read_tree(path, editable=True)
    tree["train"]["flip"] = False
    tree["train"]["l1"] = 1e-7
    write_params(path, tree)
    assert path.read_text(encoding="utf-8") == before.replace("flip: true", "flip: false\n  l1: 1e-07")


def test_aliases_that_stand_for_more_than_can_be_held_are_refused_unread(tmp_path: Path) -> None:
    path, nine = tmp_path / "params.yaml", ", ".join(["*a{0}"] * 9)
    shapes = {
        "lists": "a{1}: &a{1} [" + nine + "]\n",
        "merged": "a{1}: &a{1} {{<<: [" + nine + "]}}\n",
    }
    for first, form in (("a0: &a0 [1, 1]\n", shapes["lists"]), ("a0: &a0 {k: 1}\n", shapes["merged"])):
        path.write_text(first + "".join(form.format(level, level + 1) for level in range(12)), encoding="utf-8")
        began = time.perf_counter()
        with pytest.raises(UserError, match=r"params\.yaml: its aliases .* stand for more than 1000000 values"):
            read_tree(path)
        assert time.perf_counter() - began < 2
    path.write_text("a: &a [*a]\n", encoding="utf-8")
    with pytest.raises(UserError, match="stand for more than"):
        read_tree(path)
    path.write_text("a: &a [1, 2]\nb: *a\n", encoding="utf-8")
    assert read_tree(path) == {"a": [1, 2], "b": [1, 2]}


def test_a_file_too_large_or_too_deep_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.touch()
    os.truncate(path, 30 * 2**30)
    with pytest.raises(UserError, match="has more than 1000000 characters"):
        read_tree(path)
    path.write_text("a: " + "[" * 1_000, encoding="utf-8")
    with pytest.raises(UserError, match="nested too deeply"):
        read_tree(path)
