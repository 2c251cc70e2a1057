"""The commands of docs/data.md, run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from layouts import tiny_volumes, write_layout

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


@pytest.mark.slow
def test_the_commands_of_the_how_to(tmp_path):
    section = PAGE.read_text(encoding="utf-8").split("## Versions with DVC")[1]
    first, changed, copied, imported = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    project = tmp_path / "project"
    for place, name in ((project / "data/raw/cohort", "A"), (tmp_path / "new", "B"), (tmp_path / "elsewhere", "C")):
        images, labels = tiny_volumes(seed=ord(name))
        write_layout(place, "brats2017", images=images, labels=labels)
        for path in sorted(place.rglob("Brats18*"), reverse=True):
            path.rename(path.with_name(path.name.replace("ABC", name)))
    environment = {
        **os.environ,
        **{"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PROJECT": str(project)},
        **{"STORAGE": str(tmp_path / "remote"), "NEW_PATIENT": str(tmp_path / "new/HGG/Brats18_B_1")},
        **{"ELSEWHERE": str(tmp_path / "elsewhere"), "DVC_NO_ANALYTICS": "true", "GIT_CONFIG_GLOBAL": os.devnull},
        **{f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }

    def shell(commands, *, cwd=project):
        done = subprocess.run(
            ["bash", "-ec", commands], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    shell("git init -q . && dvc init -q && git commit -qm start")
    shell(first)
    assert len([path for path in (tmp_path / "remote").rglob("*") if path.is_file()]) == 6  # five files and their list
    difference = shell(changed)
    added = difference.split("Added:")[1].split("Modified:")[0].split()
    assert len(added) == 5 and all("Brats18_B_1" in path for path in added)
    shell(copied, cwd=tmp_path)
    assert [path.name for path in (tmp_path / "copy/data/raw/cohort/HGG").iterdir()] == ["Brats18_A_1"]
    shell(imported)
    assert (project / "data/raw/imported/HGG/Brats18_C_1/Brats18_C_1_t1.nii.gz").is_file()
