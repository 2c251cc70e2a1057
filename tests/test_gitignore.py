"""What the documentation's commands and the pipeline write is nothing that `git add .` would take."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tiny import ROOT

from brats_cascade.project import Project

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
SCANS = ("brain.nii", "a/b_seg.nii.gz", "scan.mha", "series/1.dcm", "scan.nrrd", "view.html")
OWN = ("data/raw/cohort/HGG/A/A_t1.raw", "data/raw/notes.csv", "data/raw/phantom/", "reports/figures/a/A.png")
KEPT = ("data/raw/cohort.dvc", "data/raw/.gitignore", "data/raw/deep/cohort.dvc", "data/raw/deep/.gitignore", "dvc.lock",
        "metrics/two_path.json", "metrics/data.json", "docs/results/real.csv", "docs/images/report.png")  # fmt: skip
# What a reader names to keep it, or other programs' folders.
NOT_OURS = {"imports.txt"}


def written() -> set[str]:
    """The relative paths that the commands of the documentation write to."""
    found = set()
    for page in PAGES:
        for block in re.findall(r"^```(?:\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            if not block.startswith("flowchart"):
                found |= set(re.findall(r"(?:--out|--target|--wheel-dir| >)[ =]([A-Za-z][\w./-]*)", block))
    return found - NOT_OURS


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository with this project's .gitignore alone, so that nothing of the user's git counts."""
    folder = tmp_path_factory.mktemp("ignored")
    subprocess.run(["git", "init", "-q", folder], check=True)
    shutil.copy(ROOT / ".gitignore", folder)
    return folder


def ignored(repository: Path, paths: list[str]) -> set[str]:
    done = subprocess.run(
        ["git", "check-ignore", "--stdin"], cwd=repository, input="\n".join(paths), capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stderr
    return set(done.stdout.split())


def test_what_the_documentation_writes_is_ignored(repository: Path) -> None:
    paths = written()
    assert {"out", "exported", "scores.json"} <= paths
    wanted = [path if Path(path).suffix else f"{path}/A/report.txt" for path in sorted(paths)]
    assert ignored(repository, wanted) == set(wanted)


def test_what_the_pipeline_writes_and_any_scan_is_ignored(repository: Path) -> None:
    project = Project()
    folders = (project.volumes, project.patches, project.models, project.reports, project.segmentations, project.work)
    wanted = [*(f"{folder.as_posix()}/A/x" for folder in folders), "dvc_plots/index.html", "mlflow.db", *SCANS, *OWN]
    assert ignored(repository, wanted) == set(wanted)


def test_what_belongs_in_git_is_not_ignored(repository: Path) -> None:
    assert ignored(repository, list(KEPT)) == set()


def test_no_scan_is_in_git() -> None:
    listed = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True)
    if listed.returncode == 0:  # otherwise a ZIP download
        assert not re.search(r"\.(nii|nii\.gz|mha|mhd|nrrd|dcm|keras|parquet)$", listed.stdout, re.MULTILINE)
