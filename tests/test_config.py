"""params.yaml: what is accepted, and the one line that a mistake gets."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from brats_cascade.config import load_params
from brats_cascade.errors import UserError

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
        (
            lambda tree: tree["train"].update(learning_rat=1),
            "unknown key 'train.learning_rat'; did you mean 'learning_rate'",
        ),
        (lambda tree: tree.update(trian={}), "unknown key 'trian'; did you mean 'train'"),
        (lambda tree: tree["ingest"].update(clip="much"), "ingest.clip: .* received 'much'"),
        (lambda tree: tree["train"].pop("tile"), "tile' is missing; see docs/params.md"),
        (
            lambda tree: tree["experiments"]["two_path"].update(widht=1),
            "experiments.two_path.* did you mean 'width'",
        ),
        (
            lambda tree: tree["experiments"]["input_cascade"].update(builds_on="models/nothing"),
            r"experiments.input_cascade.builds_on: expected models/NAME of a two_path experiment, .* received 'models/nothing'",
        ),
        (
            lambda tree: tree["experiments"]["input_cascade"].update(architecture="vnet"),
            "architecture: .* received 'vnet'",
        ),
    ],
)
def test_a_mistake_gets_one_line_with_the_cure(tmp_path: Path, change, message: str) -> None:
    path = _params(tmp_path, change)
    with pytest.raises(UserError, match=message) as caught:
        load_params(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run this from the project's root"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("train: [1, 2")
    with pytest.raises(UserError, match="not valid YAML"):
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
