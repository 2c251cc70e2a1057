"""Runs every stage on full and read-only disks, and then again with enough space."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from drills.common import Drill, Findings, Task
from drills.project import copy_of, differing, drafts_in, outs_of, quiet, run, stage

ROUNDS = 3  # fillings of the disk, for each stage
SIZE = "400m"
# Besides a stage's outputs: what it keeps, without which it starts anew.
KEPT = {"ingest": [".work/ingest"], "train": [".work/train", ".work/phase1", ".work/cnn1_maps"]}


def run_disk(task: Task) -> Findings:
    """Every stage on a file system of its own, in memory."""
    calm, found, disk = quiet(), Findings(), task.folder / "disk"
    disk.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", disk)
    try:
        project = copy_of(calm, disk / "project")
        for number, (name, outs) in enumerate(outs_of(calm).items()):
            rng = np.random.default_rng([task.seed, number])
            place = Place(disk, project, calm, name, list(outs))
            said: list[str] = []
            faults = [fault for _ in range(task.times(ROUNDS)) for fault in place.full(rng, said=said)]
            faults += place.read_only(said=said)
            row = {
                "stage": name,
                "stopped in one line": len(said),
                "had enough space": task.times(ROUNDS) + 1 - len(said),
            }
            found.add({**row, "for example": _short(said, disk)}, tried=task.times(ROUNDS) + 1, faults=faults)
    finally:
        subprocess.run(["umount", disk], check=True)
    return found


class Place:
    """A stage on a disk that can be filled.

    Args:
        disk: Where the file system is mounted.
        project: Below it.
        calm: The undisturbed project.
        name: Of the stage.
        outs: Its outputs.
    """

    def __init__(self, disk: Path, project: Path, calm: Path, name: str, outs: list[str]) -> None:
        self._disk, self._project, self._calm, self._name, self._outs = disk, project, calm, name, outs

    def full(self, rng: np.random.Generator, *, said: list[str]) -> list[str]:
        """Leaves less than what the stage writes, or hardly more."""
        self._clear()
        need = _bytes([self._calm / out for out in self._outs])
        room = int(rng.uniform(0, 1.2) * need)
        filler = self._disk / "filler"
        free = shutil.disk_usage(self._disk).free
        with filler.open("wb") as file:
            subprocess.run(["fallocate", "-l", str(max(1, free - room)), filler], check=True)
            file.flush()
        try:
            faults = self._attempt(said)
        finally:
            filler.unlink()
        return [f"{room:,} of {need:,} bytes free: {fault}" for fault in [*faults, *self._again()]]

    def read_only(self, *, said: list[str]) -> list[str]:
        """The file system takes no writes."""
        self._clear()
        _mount("-o", "remount,ro", self._disk)
        try:
            faults = self._attempt(said)
        finally:
            _mount("-o", "remount,rw", self._disk)
        return [f"read-only: {fault}" for fault in [*faults, *self._again()]]

    def _attempt(self, said: list[str]) -> list[str]:
        text, status = run(stage(self._name), cwd=self._project)
        lines = [line for line in text.splitlines() if line.startswith("error: ")]
        if status == 0:
            self._clear()  # there is room for it
            return []
        said += lines[:1]
        if status == 1 and len(lines) == 1 and "Traceback" not in text:
            return []
        return [f"ended with {status} and {len(lines)} lines of error: {' '.join(text.split())[-300:]}"]

    def _again(self) -> list[str]:
        """The same command with room: its outputs must be those of the undisturbed run, and no draft may lie about."""
        text, status = run(stage(self._name), cwd=self._project)
        if status:
            return [f"again, with room: ended with {status}: {' '.join(text.split())[-300:]}"]
        differs = differing(self._project, like=self._calm, outs=self._outs)
        return [f"again, with room: {path} is not as it should be" for path in differs] + drafts_in(self._project)

    def _clear(self) -> None:
        """As DVC does before a stage."""
        for name in (*self._outs, *KEPT.get(self._name.split("@")[0], [])):
            path = self._project / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _mount(*words: Any) -> None:
    subprocess.run(["mount", *words], check=True)


def _bytes(paths: list[Path]) -> int:
    files = [file for path in paths for file in (path, *path.rglob("*")) if file.is_file()]
    return sum(file.stat().st_size for file in files)


def _short(said: list[str], disk: Path) -> str:
    return said[0].removeprefix("error: ").replace(f"{disk}/project/", "")[:160] if said else ""


DRILLS = {
    "disk": Drill(
        "Full and read-only disks in every stage",
        "Each stage runs on a file system with free space for 0 to 1.2 times the bytes that it writes, and then on a "
        "read-only one. Faults: an error that is not a single line, a success with different outputs, or a rerun with enough "
        "space whose outputs differ in any bit.",
        run_disk,
        namespace="mount",
    )
}
