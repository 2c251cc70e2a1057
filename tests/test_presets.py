"""Presets are compositions of DVC's Hydra integration, made here by the function that `dvc exp run -S` calls."""

import configparser
import difflib
import itertools
import re
import shlex
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import compose_and_dump, get_hydra_sweeps
from ruamel.yaml import YAML

from brats_cascade.params import Params, load_params

ROOT = Path(__file__).parents[1]
PRESETS = sorted(path.stem for path in (ROOT / "conf/preset").glob("real-*.yaml"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def compose(project: Path, *words: str) -> Params:
    """What `dvc exp run` does to params.yaml, with the settings in .dvc/config."""
    config = configparser.ConfigParser()
    config.read_string("".join(line.lstrip() for line in (ROOT / ".dvc/config").read_text().splitlines(keepends=True)))
    assert config.getboolean("hydra", "enabled")
    folder, name = project / config["hydra"]["config_dir"], config["hydra"]["config_name"]
    compose_and_dump(project / "params.yaml", str(folder), None, name, "", list(words))
    return load_params(project / "params.yaml")


def test_params_yaml_has_the_form_that_dvc_gives_it(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    compose(project)
    assert (project / "params.yaml").read_text() == before
    compose(project, "train.learning_rate=0.001")
    changed = difflib.ndiff(before.splitlines(), (project / "params.yaml").read_text().splitlines())
    lines = [line for line in changed if line[0] in "+-"]
    assert lines == ["-   learning_rate: 0.0005", "+   learning_rate: 0.001"]


def test_every_key_of_a_stage_can_be_set_with_dvc() -> None:
    """`-S` changes only keys that params.yaml has."""
    tree = YAML(typ="safe").load(ROOT / "params.yaml")
    for block, field in Params.model_fields.items():
        if block != "experiments":
            assert set(tree[block]) == set(field.annotation.model_fields), block


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_its_values_and_its_experiments_alone_however_often(project: Path, name: str) -> None:
    plain = load_params(project / "params.yaml")
    params = compose(project, f"+conf/preset={name}")
    text = (project / "params.yaml").read_text()
    assert compose(project, f"+conf/preset={name}") == params and (project / "params.yaml").read_text() == text
    tree = YAML(typ="safe").load(ROOT / f"conf/preset/{name}.yaml")
    for block in ("split", "patches", "train", "evaluate", "ingest", "sweep"):
        own = getattr(params, block)
        assert own == type(own).model_validate({**own.model_dump(), **tree.get(block, {})})
    assert params.train.width == 1.0 and params.data == plain.data and params.phantom == plain.phantom
    assert "single_phase" not in params.experiments and set(tree["experiments"]) <= set(params.experiments)
    for experiment, entry in tree["experiments"].items():
        given = {key: value for key, value in entry.items() if key not in ("architecture", "builds_on")}
        assert params.experiments[experiment].train == params.train.model_copy(update=given)


def test_the_ablation_preset_adds_its_experiments(project: Path) -> None:
    plain = load_params(project / "params.yaml")
    params = compose(project, "+conf/preset=ablation")
    added = {"input_one_phase", "single_cohort_weights", "single_neither", "single_bare"}
    assert set(params.experiments) - set(plain.experiments) == added and len(params.experiments) == 13
    assert {name: params.experiments[name] for name in plain.experiments} == plain.experiments
    bare, phase = (params.experiments[name].train for name in ("single_bare", "single_phase"))
    assert bare == phase.model_copy(update={"normalisation": "none", "class_weights": "none"})


@pytest.mark.slow
def test_one_preset_after_another_gives_the_same_as_by_itself(project: Path) -> None:
    alone = {}
    for name in PRESETS:
        shutil.copy(ROOT / "params.yaml", project)
        alone[name] = compose(project, f"+conf/preset={name}")
    counts = {name: len(params.experiments) for name, params in alone.items()}
    assert counts == {
        "real-coarse": 2,
        "real-coarse-record": 13,
        "real-cpu": 2,
        "real-crossval": 4,
        "real-n4": 10,
        "real-record": 16,
    }
    for name in (*reversed(PRESETS), *PRESETS):  # each before and after the others
        assert compose(project, f"+conf/preset={name}") == alone[name]
    n4 = alone["real-n4"]
    assert n4.ingest.n4 and n4.sweep.experiment == "two_path_long"
    assert n4.experiments["input_hour"].train.steps == 6200 and n4.experiments["input_hour"].cnn1 == "two_path_long"


def test_the_users_own_values_win_wherever_they_stand(project: Path) -> None:
    own = ("split.test=1", "data.source=/scans", "++experiments.two_path.steps=9")
    before = compose(project, *own, "+conf/preset=real-cpu")
    after = compose(project, "+conf/preset=real-cpu", *own)
    assert before == after
    assert (after.split.test, after.data.source, after.split.validation) == (1, "/scans", 1)
    assert {name: entry.train.steps for name, entry in after.experiments.items()} == {
        "two_path": 9,
        "input_cascade": 4000,
    }


DOCUMENTED = sorted(
    {
        tuple(value for option, value in itertools.pairwise(shlex.split(command)) if option == "-S" and value != "...")
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
        for command in re.findall(r"dvc exp run [^`\n#]*", page.read_text(encoding="utf-8").replace("\\\n", " "))
    }
    - {()}
)


@pytest.mark.parametrize("words", DOCUMENTED)
def test_the_settings_of_every_command_in_the_docs_are_accepted(project: Path, words: tuple[str, ...]) -> None:
    for point in get_hydra_sweeps({"params.yaml": list(words)}):
        compose(project, *point["params.yaml"])


def test_an_unknown_preset_names_those_there_are(project: Path) -> None:
    from hydra.errors import MissingConfigException

    with pytest.raises(MissingConfigException, match="real-cpu"):
        compose(project, "+conf/preset=large")
