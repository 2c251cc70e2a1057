"""The wheel, built and installed beside nothing but its requirements, away from the checkout; and the version it tells."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from clean_python import link_packages
from tiny import ROOT, environment, shell
from typer.testing import CliRunner

from brats_cascade import __version__, cli
from brats_cascade.commands import wheel

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
OFFLINE = ("--quiet", "--no-deps", "--no-index")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The program of the installed wheel, and an empty folder."""
    place = tmp_path_factory.mktemp("wheel")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = link_packages(place / "packages", requirements=project["dependencies"])
    venv, empty = place / "venv", place / "empty"
    empty.mkdir()
    shell(place, sys.executable, "-m", "venv", "--without-pip", str(venv))
    [site] = venv.glob("lib/python3*/site-packages")
    (site / "packages.pth").write_text(str(packages))
    shell(ROOT, *PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", str(place), ".")
    [built] = place.glob("*.whl")
    shell(place, *PIP, "--python", str(venv), "install", *OFFLINE, str(built))
    return SimpleNamespace(program=str(venv / "bin/brats-cascade"), empty=empty, built=built)


def run(installed: SimpleNamespace, *words: str) -> subprocess.CompletedProcess[str]:
    alone = {name: value for name, value in environment().items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [installed.program, *words], cwd=installed.empty, env=alone, capture_output=True, text=True, timeout=200
    )


@pytest.mark.slow
def test_the_wheel_has_its_version_and_every_file_that_is_no_code(installed: SimpleNamespace) -> None:
    assert run(installed, "--version").stdout == f"brats-cascade {__version__}\n"
    assert installed.built.name.startswith(f"brats_cascade-{__version__}-")
    done = run(installed, "results")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("error: no params.yaml here: ")
    program = Path(installed.program)
    [package] = program.parents[1].glob("lib/python3*/site-packages/brats_cascade")
    source = ROOT / "src/brats_cascade"
    wanted = {
        path.relative_to(source) for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert {path for path in wanted if not (package / path).is_file()} == set()


@pytest.mark.slow
def test_data_are_checked_without_a_project(
    installed: SimpleNamespace, tmp_path: Path, write_nifti_case: Callable
) -> None:
    write_nifti_case(tmp_path / "HGG", "A")
    done = run(installed, "data", "check", str(tmp_path), "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "1 case: 1 usable for training" in done.stdout
    assert list(installed.empty.iterdir()) == []


@pytest.mark.slow
def test_doctor_says_that_there_is_no_project_and_what_works_without(installed: SimpleNamespace) -> None:
    done = run(installed, "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"brats-cascade       {__version__}\n" in done.stdout and "all checks passed" in done.stdout
    [line] = [line for line in done.stdout.splitlines() if line.startswith("project ")]
    assert "no params.yaml here; predict, evaluate, data check" in line


@pytest.mark.parametrize("words", [["results"], ["repeat"], ["record", "mine"], ["sweep", "--trials", "1"]])
def test_a_command_of_the_project_says_so_on_one_line(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, words)
    assert str(result.exception).startswith(
        f"no params.yaml here: `brats-cascade {words[0]}` works only in a project's folder"
    )
    assert CliRunner().invoke(cli.app, [words[0], "--help"]).exit_code == 0


def test_what_is_said_to_work_anywhere_needs_no_project() -> None:
    groups = {"data check": cli.data_app.registered_commands[0]}
    commands = {str(each.name or each.callback.__name__): each for each in cli.app.registered_commands} | groups
    free = {name for name, each in commands.items() if not issubclass(each.cls or object, wheel.ProjectCommand)}
    assert set(wheel.ANYWHERE) <= free


@pytest.mark.parametrize(
    ("git", "told"), [("echo v1.2.3-4-gabc", "1.2.3-4-gabc"), ("exit 128", __version__), (None, __version__)]
)
def test_the_version_is_the_tags_or_the_packages(
    git: str | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".git", "src/brats_cascade/commands"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    if git:
        (tmp_path / "git").write_text(f"#!/bin/sh\n{git}\n")
        (tmp_path / "git").chmod(0o755)
    monkeypatch.setattr(wheel, "__file__", str(tmp_path / "src/brats_cascade/commands/wheel.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert wheel.version() == told
