"""Commands write nothing in the folders that `dvc repro` writes."""

import shutil
from pathlib import Path

import pytest
from tiny import ROOT
from typer.testing import CliRunner

from brats_cascade import cli
from brats_cascade.commands.options import output_path
from brats_cascade.errors import UserError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with params.yaml."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "written"),
    [
        ("segmentations", "segmentations"),
        ("segmentations/mine/deep", "segmentations"),
        ("x/../data/volumes", "data/volumes"),
        ("models/net", "models"),
        (".work", ".work"),
    ],
)
def test_the_pipelines_own_folders_are_refused(folder: str, written: str, project: Path) -> None:
    for given in (folder, str(project / folder)):
        with pytest.raises(UserError) as told:
            output_path(given)
        assert str(told.value) == f"{given}: `dvc repro` writes {written} itself; choose another path, such as out"


def test_a_link_to_one_of_them_is_refused_too(project: Path) -> None:
    (project / "segmentations").mkdir()
    (project / "seen").symlink_to("segmentations")
    with pytest.raises(UserError, match=r"^seen: "):
        output_path("seen")


@pytest.mark.parametrize("folder", ["out", "data/mine", "segmentations2", "..", "."])
def test_other_folders_are_allowed(folder: str, project: Path) -> None:
    assert output_path(folder) == Path(folder)


def test_outside_a_project_every_folder_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert output_path("segmentations") == Path("segmentations")


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "scans", "--out", "segmentations"],
        ["predict", "scans", "--out", "out", "--bids", "reports"],
        ["fuse", "a", "b", "--out", "segmentations"],
        ["export", "--model", "models/x", "--out", "models"],
        ["export-nnunet", "--out", "data/patches"],
        ["evaluate", "--truth", "a", "--prediction", "b", "--out", "metrics/scores.json"],
        ["view", "scans", "--out", "reports/page.html"],
        ["cards", "--out", "models/net"],
        ["sweep", "--trials", "1", "--page", "reports/sweep.md"],
    ],
)
def test_every_command_asks_before_it_does_anything(words: list[str], project: Path) -> None:
    result = CliRunner().invoke(cli.app, words)
    assert isinstance(result.exception, UserError) and "`dvc repro` writes " in str(result.exception)
    assert sorted(path.name for path in project.iterdir()) == ["params.yaml"]
