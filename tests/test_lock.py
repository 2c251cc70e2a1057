"""A dvc.lock that DVC was killed while writing: what docs/data.md tells the user to do."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tiny import dvc, finished_project


@pytest.mark.slow
def test_without_a_damaged_lock_nothing_is_computed_again(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = Path(shutil.copytree(finished_project(tmp_path_factory), tmp_path / "project", symlinks=True))
    lock = project / "dvc.lock"
    whole = YAML(typ="safe").load(lock)
    lock.write_text("schema: '2.0'\nstages:\n  phantom:\n")
    assert "'./dvc.lock' validation failed" in dvc(project, "repro", status=255)
    lock.unlink()
    assert "Running stage" not in dvc(project, "repro")
    assert YAML(typ="safe").load(lock) == whole
