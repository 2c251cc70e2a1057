"""Presets as words for `dvc exp run`."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from brats_cascade.commands.preset import run
from brats_cascade.errors import UserError

ROOT = Path(__file__).parents[1]


def test_a_preset_becomes_words(tmp_path: Path) -> None:
    text = "train:\n  flip: false\n  tile: 64\nexperiments:\n  single_phase:\n  two_path: {steps: 9}\n"
    (tmp_path / "small.yaml").write_text(text)
    words = run("small", folder=tmp_path)
    assert (
        words == "-S train.flip=false -S train.tile=64 -S ~experiments.single_phase -S ++experiments.two_path.steps=9"
    )


def test_an_unknown_preset_names_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("{}")
    with pytest.raises(UserError, match="known: small"):
        run("large", folder=tmp_path)


@pytest.mark.parametrize("path", sorted((ROOT / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_presets_name_keys_that_exist(path: Path) -> None:
    yaml = YAML(typ="safe")
    params, preset = yaml.load(ROOT / "params.yaml"), yaml.load(path)
    for stage, block in preset.items():
        assert set(block) <= set(params[stage]), stage


def test_dvc_takes_a_presets_words(tmp_path: Path) -> None:
    """An experiment's key that params.yaml lacks is added, one that it has is changed, others stay (DVC's own function)."""
    from dvc.utils.hydra import apply_overrides

    (tmp_path / "small.yaml").write_text(
        "train:\n  tile: 64\nexperiments:\n  unet:\n  two_path: {steps: 9, width: 0.5}\n"
    )
    params = tmp_path / "params.yaml"
    params.write_text("train: {tile: 48, steps: 3}\nexperiments: {unet: {}, two_path: {width: 0.25, batch: 2}}\n")
    apply_overrides(params, run("small", folder=tmp_path).replace("-S ", "").split())
    found = YAML(typ="safe").load(params)
    assert found == {
        "train": {"tile": 64, "steps": 3},
        "experiments": {"two_path": {"steps": 9, "width": 0.5, "batch": 2}},
    }
