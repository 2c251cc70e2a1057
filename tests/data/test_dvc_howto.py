"""The commands of docs/data.md, run as they stand there, in a copy of this project with its own .gitignore and stages."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from layouts import tiny_volumes, write_layout
from tiny import ROOT, change, dvc, environment, git, make_project, shell

PAGE = ROOT / "docs" / "data.md"
PARTS = ("flair", "t1", "t1ce", "t2")


def write_case(place: Path, name: str) -> None:
    images, labels = tiny_volumes(seed=ord(name))
    write_layout(place, "brats2017", images=images, labels=labels)
    for path in sorted(place.rglob("Brats18_ABC*"), reverse=True):
        path.rename(path.with_name(path.name.replace("ABC", name)))


@pytest.mark.slow
@pytest.mark.long
def test_the_commands_of_the_how_to(tmp_path: Path) -> None:
    section = PAGE.read_text(encoding="utf-8").split("## Versions with DVC")[1]
    first, used, changed, elsewhere, imported = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    sizes = {"split": {"validation": 1, "test": 1}, "patches": {"phase1": 90, "phase2": 90}}
    project = make_project(tmp_path / "project", experiments={"two_path": None}, ingest={"workers": 1}, **sizes)
    for name in "ABC":
        write_case(project / "data/raw/cohort", name)
    write_case(tmp_path / "new", "N")
    write_case(tmp_path / "elsewhere", "E")
    variables = environment(
        PROJECT=str(project), STORAGE=str(tmp_path / "remote"), NEW_PATIENT=str(tmp_path / "new/HGG/Brats18_N_1"),
        ELSEWHERE=str(tmp_path / "elsewhere"), BRATS_CASCADE_LOG="INFO",
    )  # fmt: skip

    def script(commands: str, *, cwd: Path = project) -> str:
        done = subprocess.run(
            ["bash", "-ec", commands], cwd=cwd, env=variables, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    clean: Callable[[], str] = lambda: git(project, "status", "--porcelain")  # noqa: E731
    script(first)
    assert len([path for path in (tmp_path / "remote").rglob("*") if path.is_file()]) == 16  # three cases, one list
    assert "3 cases found, 3 stored" in script(used) and clean() == ""
    text = script(changed)
    assert "3 of 4 cases were ingested before" in text and clean() == ""
    added = text.split("Added:")[1].split("Modified:")[0].split()
    assert len([word for word in added if "data/raw/cohort/HGG/Brats18_N_1/" in word]) == 5
    assert re.search(r"metrics/data.json +accepted +3 +4 +1", text)
    text = script(elsewhere, cwd=tmp_path)
    assert "Running stage" not in text and "Data and pipelines are up to date" in text
    copy = tmp_path / "copy"
    names = [f"Brats18_{name}_1" for name in "ABC"]
    assert sorted(path.name for path in (copy / "data/raw/cohort/HGG").iterdir()) == names
    assert sorted(path.name for path in (copy / "data/volumes").iterdir()) == names
    assert git(copy, "status", "--porcelain") == ""
    script(imported)
    assert (project / "data/raw/imported/HGG/Brats18_E_1/Brats18_E_1_t1.nii.gz").is_file() and clean() == ""


@pytest.mark.slow
@pytest.mark.long
def test_a_link_to_nothing_stops_dvc_and_check_says_how_to_go_on(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", experiments={"two_path": None}, data={"source": "cohort"})
    cohort = project / "cohort"
    for name in "AB":
        write_case(cohort, name)
    link = cohort / "HGG/Brats18_A_1/Brats18_A_1_t1.nii.gz"
    link.unlink()
    link.symlink_to("gone.nii.gz")
    (cohort / "notes.txt").symlink_to("nowhere")
    (cohort / "HGG/up").symlink_to("..")
    said = dvc(project, "repro", "ingest", status=255)
    assert "[Errno 2] No such file or directory" in said
    checked = shell(project, "brats-cascade", "data", "check", "cohort", status=1, COLUMNS="1000").splitlines()
    assert checked[0].startswith("2 dangling links, first cohort/notes.txt -> nowhere: dvc repro would stop")
    assert any(line.startswith("Brats18_A_1 ") and "a link to gone.nii.gz: No such file" in line for line in checked)
    # A listing outside the folder: DVC hashes it alone, and the case is excluded with its reason.
    rows = ["case,labels,flair,t1,t1c,t2"]
    for name in ("Brats18_A_1", "Brats18_B_1"):
        rows.append(",".join([name, "merged", *(f"cohort/HGG/{name}/{name}_{part}.nii.gz" for part in PARTS)]))
    (project / "cases.csv").write_text("\n".join(rows) + "\n")
    change(project, data={"source": "cases.csv"})
    said = dvc(project, "repro", "ingest")
    assert "Brats18_A_1: t1 is missing: expected cohort/" in said and "2 cases found, 1 stored" in said
    # The command that the check prints: only the links go.
    before = sorted(path for path in cohort.rglob("*") if path.exists())
    shell(project, "bash", "-ec", checked[0].split("remove them with: ")[1])
    assert sorted(cohort.rglob("*")) == before
    change(project, data={"source": "cohort"})
    # A folder that is a link: DVC does not notice what happens behind it, which is said with the command that helps.
    (tmp_path / "elsewhere").mkdir()
    shutil.move(cohort / "HGG/Brats18_B_1", tmp_path / "elsewhere/Brats18_B_1")
    (cohort / "HGG/Brats18_B_1").symlink_to(tmp_path / "elsewhere/Brats18_B_1")
    said = dvc(project, "repro", "ingest")
    assert "Brats18_A_1: t1 is missing: expected Brats18_A_1_t1.nii.gz" in said and "2 cases found, 1 stored" in said
    assert "2 links to a folder, first cohort/HGG/Brats18_B_1 -> " in said
    (tmp_path / "elsewhere/Brats18_B_1/Brats18_B_1_t1.nii.gz").unlink()
    assert "Running stage" not in dvc(project, "repro", "ingest")
    said = dvc(project, *said.split("the scans change, run: dvc ")[1].splitlines()[0].split())
    assert "2 cases found, 0 stored" in said
