"""Presets as words for `dvc exp run`."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from brats_cascade.commands.preset import load_preset, run
from brats_cascade.config import load_params
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


def test_a_preset_has_the_keys_of_the_one_it_extends(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(
        "train: {tile: 64, flip: false}\nexperiments: {unet: , two_path: {steps: 9}}\n"
    )
    changes = "extends: small\ntrain: {tile: 32}\nexperiments: {unet: {steps: 5}, two_path: {batch: 2}, mf_cascade: }\n"
    (tmp_path / "whole.yaml").write_text(changes)
    words = "train.tile=32 train.flip=false ++experiments.unet.steps=5 ++experiments.two_path.steps=9"
    words += " ++experiments.two_path.batch=2 ~experiments.mf_cascade"
    assert run("whole", folder=tmp_path).replace("-S ", "") == words


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "presets").glob("*.yaml")))
def test_shipped_presets_give_parameters_that_can_be_used(tmp_path: Path, name: str) -> None:
    """Known keys, checked values, experiments that build on others that are there; by DVC's own function."""
    from dvc.utils.hydra import apply_overrides

    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    for stage, block in load_preset(name, folder=ROOT / "presets").items():
        if stage != "experiments":
            assert set(block) <= set(YAML(typ="safe").load(path)[stage]), stage
    apply_overrides(path, run(name, folder=ROOT / "presets").replace("-S ", "").split())
    params = load_params(path)
    architectures = {one.architecture for one in params.experiments.values()}
    assert params.train.width == 1.0 and {"two_path", "input_cascade"} <= architectures


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
