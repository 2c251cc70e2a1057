"""`dvc exp run` with a preset, killed in ingest: the same line goes on, and gives what a quiet run gives."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tiny import dvc, environment, git, make_project

PRESET = """# @package _global_
defaults: [_only, _self_]
train: {steps: 8, checkpoint_steps: 1}
sweep: {experiment: small}
experiments:
  small: {architecture: two_path, builds_on: data/patches}
"""
# One of the user's own values before the preset, one behind it, each against the preset or params.yaml.
LINE = ("exp", "run", "-S", "train.steps=7", "-S", "+conf/preset=tiny", "-S", "ingest.n4=true", "patches")


def kept(project: Path) -> dict[str, tuple[int, int]]:
    """Every case that was ingested, and when."""
    found = sorted((project / ".work/ingest").glob("*/[!.]*/meta.json"))
    return {str(path.relative_to(project)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def outs(project: Path) -> dict[str, str]:
    """Output -> hash, of the stages that the line runs."""
    stages: dict[str, Any] = YAML(typ="safe").load(project / "dvc.lock")["stages"]
    return {out["path"]: out["md5"] for name, stage in stages.items() if name != "validate" for out in stage["outs"]}


def kill_when(project: Path, ready: Callable[[], bool]) -> None:
    """Starts the line and kills all its processes as a lost machine would."""
    words = ["dvc", *LINE]
    log = project / "killed.log"
    with log.open("w") as file, subprocess.Popen(
        words, cwd=project, env=environment(), stdout=file, stderr=file, start_new_session=True
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 300
        while not ready():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.long
def test_the_same_line_goes_on_after_a_kill_and_going_back_ingests_nothing_twice(tmp_path: Path) -> None:
    project = make_project(tmp_path / "killed", experiments={"two_path": None}, ingest={"workers": 1})
    (project / "conf/preset/tiny.yaml").write_text(PRESET)
    git(project, "add", "conf")
    git(project, "commit", "-qm", "preset")
    dvc(project, "repro", "phantom")
    quiet = shutil.copytree(project, tmp_path / "quiet")
    kill_when(project, lambda: len(kept(project)) >= 2)
    first = kept(project)
    assert 2 <= len(first) < 5
    changed = git(project, "diff", "-U0", "HEAD", "params.yaml").splitlines()
    assert [line for line in changed if line[:3] in ("-  ", "+  ")] == [
        "-  n4: false", "+  n4: true", "-  steps: 6", "+  steps: 7", "-  checkpoint_steps: 50", "+  checkpoint_steps: 1",
        "-  experiment: two_path", "+  experiment: small", "-  two_path:", "+  small:",
    ]  # fmt: skip
    text = (project / "params.yaml").read_text()
    dvc(project, *LINE)
    dvc(quiet, *LINE)
    assert outs(project) == outs(quiet) and len(outs(project)) == 5
    ingested = kept(project)
    assert len(ingested) == 5 and first.items() <= ingested.items()
    assert text == (project / "params.yaml").read_text() == (quiet / "params.yaml").read_text()

    # Back to what is committed, and there again.
    git(project, "checkout", "-q", "params.yaml")
    git(project, "clean", "-qf", "dvc.lock")
    dvc(project, "repro", "ingest")
    plain = {name: stamp for name, stamp in kept(project).items() if name not in ingested}
    assert len(plain) == 5
    dvc(project, *LINE)
    assert outs(project) == outs(quiet) and kept(project) == ingested | plain
    # Four bytes in the store are overwritten: DVC sees a changed output, and ingest does not hand it on.
    path = next((project / "data/volumes").glob("*/image.npy"))
    before = path.read_bytes()
    path.write_bytes(before[:-4] + b"\x01\x02\x03\x04")
    dvc(project, "repro", "--no-run-cache", "ingest")
    assert path.read_bytes() == before and outs(project) == outs(quiet)
