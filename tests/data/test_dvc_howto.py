"""The commands of docs/data.md, run as they stand there, in a copy of this project with its own .gitignore and stages."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from layouts import tiny_volumes, write_layout
from tiny import ROOT, environment, git, make_project

PAGE = ROOT / "docs" / "data.md"


def write_case(place: Path, name: str) -> None:
    images, labels = tiny_volumes(seed=ord(name))
    write_layout(place, "brats2017", images=images, labels=labels)
    for path in sorted(place.rglob("Brats18_ABC*"), reverse=True):
        path.rename(path.with_name(path.name.replace("ABC", name)))


@pytest.mark.slow
def test_the_commands_of_the_how_to(tmp_path: Path) -> None:
    section = PAGE.read_text(encoding="utf-8").split("## Versions with DVC")[1]
    first, used, changed, elsewhere, imported = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    sizes = {"split": {"validation": 1, "test": 1}, "patches": {"phase1": 90, "phase2": 90, "validation": 30}}
    project = make_project(tmp_path / "project", experiments={"two_path": None}, ingest={"workers": 1}, **sizes)
    for name in "ABC":
        write_case(project / "data/raw/cohort", name)
    write_case(tmp_path / "new", "N")
    write_case(tmp_path / "elsewhere", "E")
    variables = environment(
        PROJECT=str(project), STORAGE=str(tmp_path / "remote"), NEW_PATIENT=str(tmp_path / "new/HGG/Brats18_N_1"),
        ELSEWHERE=str(tmp_path / "elsewhere"), BRATS_CASCADE_LOG="INFO",
    )  # fmt: skip

    def shell(commands: str, *, cwd: Path = project) -> str:
        done = subprocess.run(
            ["bash", "-ec", commands], cwd=cwd, env=variables, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    clean: Callable[[], str] = lambda: git(project, "status", "--porcelain")  # noqa: E731
    shell(first)
    assert len([path for path in (tmp_path / "remote").rglob("*") if path.is_file()]) == 16  # three cases, one list
    assert "3 cases found, 3 stored" in shell(used) and clean() == ""
    text = shell(changed)
    assert "3 of 4 cases were ingested before" in text and clean() == ""
    added = text.split("Added:")[1].split("Modified:")[0].split()
    assert len([word for word in added if "data/raw/cohort/HGG/Brats18_N_1/" in word]) == 5
    assert re.search(r"metrics/data.json +accepted +3 +4 +1", text)
    text = shell(elsewhere, cwd=tmp_path)
    assert "Running stage" not in text and "Data and pipelines are up to date" in text
    copy = tmp_path / "copy"
    names = [f"Brats18_{name}_1" for name in "ABC"]
    assert sorted(path.name for path in (copy / "data/raw/cohort/HGG").iterdir()) == names
    assert sorted(path.name for path in (copy / "data/volumes").iterdir()) == names
    assert git(copy, "status", "--porcelain") == ""
    shell(imported)
    assert (project / "data/raw/imported/HGG/Brats18_E_1/Brats18_E_1_t1.nii.gz").is_file() and clean() == ""
