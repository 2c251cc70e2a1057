"""What doctor says about the disk, and what doctor and make say in a folder without git, as a ZIP download is."""

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from brats_cascade.commands import doctor
from brats_cascade.commands.doctor import versioning

ROOT = Path(__file__).parents[1]


def test_a_folder_without_git_is_a_problem_with_both_cures(tmp_path: Path) -> None:
    problems: list[str] = []
    assert versioning(tmp_path, problems) == "none"
    [line] = problems
    assert f"{tmp_path}: no git repository (a ZIP download?)" in line and "\n" not in line
    assert "git init && git add -A" in line and "dvc config --local core.no_scm true" in line


def test_dvc_may_be_told_to_do_without_git(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", tmp_path / ".dvc")
    (tmp_path / ".dvc" / "config.local").write_text("['remote \"x\"']\n    url = a%20b\n[core]\n    no_scm = true\n")
    problems: list[str] = []
    assert versioning(tmp_path, problems).startswith("no git: `dvc repro` works; `dvc exp`")
    assert problems == []


def test_a_clone_names_its_commit(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    problems: list[str] = []
    assert versioning(tmp_path, problems).startswith("git, commit ") and problems == []


@pytest.mark.parametrize(("gib", "project", "told"), [(3, True, 1), (3, False, 0), (6, True, 0)])
def test_little_free_space_is_a_problem_of_projects(
    gib: int, project: bool, told: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    if project:
        shutil.copy(ROOT / "params.yaml", tmp_path)
        (tmp_path / ".git").mkdir()
    monkeypatch.setattr(doctor, "_backend", lambda problems: doctor.NO_BACKEND)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=gib * 2**30))
    assert doctor.run(tmp_path) == told
    printed = capsys.readouterr().out
    assert f"free disk           {gib} GiB\n" in printed
    problems = [line for line in printed.splitlines() if line.startswith("problem: ")]
    assert problems == [f"problem: {tmp_path}: {gib}.0 GiB free, the pipeline needs 5; free some space"] * told


def test_make_repro_without_git_is_one_line_before_anything_is_installed(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    alone = {
        name: value for name, value in os.environ.items() if not name.startswith("MAKE")
    }  # `make test` is no part of it
    done = subprocess.run(["make", "repro"], cwd=tmp_path, capture_output=True, text=True, env=alone)
    assert done.returncode != 0 and done.stdout == ""
    first, *others = done.stderr.splitlines()
    assert first.startswith("error: no git repository here (a ZIP download?)") and "git init && git add -A" in first
    assert len(others) == 1 and others[0].startswith("make")  # make's own "*** Error 1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Makefile"]
