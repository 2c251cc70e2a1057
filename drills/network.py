"""Runs all commands without a network, and records the addresses that they ask for."""

import shutil
import sys
from pathlib import Path

from drills.common import Drill, Findings, Task
from drills.project import asked_for, quiet, quiet_facts, run, watched

CLI = (sys.executable, "-m", "brats_cascade.cli")
# Run in a copy of the finished project, one after another.
COMMANDS = {
    "data check": (*CLI, "data", "check", "data/raw/phantom"),
    "predict": (*CLI, "predict", "data/raw/phantom", "--model", "models/two_path", "--out", "predicted"),
    "evaluate": (*CLI, "evaluate", "--truth", "data/raw/phantom", "--prediction", "predicted", "--out", "scores.csv"),
    "results": (*CLI, "results"),
    "doctor": (*CLI, "doctor"),
    "sweep": (*CLI, "sweep", "--trials", "1", "--workers", "1"),
    "dvc plots show": ("dvc", "plots", "show"),
    "dvc status": ("dvc", "status"),
}


def run_network(task: Task) -> Findings:
    """The undisturbed run of the other drills was one without a network; then the commands."""
    found, facts, asked = Findings(), quiet_facts(), task.folder / "asked.txt"
    found.add(_row("dvc repro, all stages", facts["seconds"]), tried=1, faults=[*facts["asked"]])
    project = Path(shutil.copytree(quiet(), task.folder / "project", symlinks=True))
    for name, words in COMMANDS.items():
        asked.unlink(missing_ok=True)
        text, status = run(list(words), cwd=project, **watched(asked))
        faults = [f"asked for {address}" for address in asked_for(asked)]
        if status or "Traceback" in text:
            faults.append(f"ended with {status}: {text[-300:]}")
        found.add(_row(name), tried=1, faults=faults)
    return found


def _row(name: str, seconds: float | None = None) -> dict[str, object]:
    return {"command": name, **({} if seconds is None else {"seconds": round(seconds)})}


DRILLS = {
    "network": Drill(
        "No network",
        "Every command runs in a network namespace whose only interface, the loopback, is down. Every Python process records "
        "the addresses that it connects to. Faults: an exit status other than 0, a traceback, any address other than the "
        "loopback.",
        run_network,
        namespace="net",
    )
}
