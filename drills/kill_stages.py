"""Ends `dvc repro` at random times in every stage, and compares the final result with an undisturbed run."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from drills.common import Drill, Findings, Task
from drills.kills import WAYS, Killed, kill
from drills.project import drafts_in, new_project, outs_of, quiet, run, run_states, seconds_of

KILLS = 8  # in each stage


def run_kills(task: Task) -> Findings:
    """One project, stage after stage."""
    calm, found = quiet(), Findings()
    project, expected = new_project(task.folder / "project"), outs_of(calm)
    for number, name in enumerate(expected):
        rng = np.random.default_rng([task.seed, number])
        ways = [list(WAYS)[(number + turn) % len(WAYS)] for turn in range(task.times(KILLS))]
        kills, faults = _kill_stage(project, name, seconds=seconds_of(calm, name), ways=ways, rng=rng)
        text, status = run(["dvc", "repro", name], cwd=project)
        cut_short = "dvc.lock' validation failed" in text  # DVC was killed while it wrote the file
        if cut_short:
            text, status = _without_lock(project, name)
            again = [line for line in text.splitlines() if line.startswith("Running stage") and f"'{name}'" not in line]
            faults += [f"after dvc.lock was deleted: {line}" for line in again]
        if status:
            faults.append(f"the same command, not disturbed, ended with {status}: {text[-300:]}")
            found.add({"stage": name}, tried=len(kills), faults=faults)
            return found  # what comes after needs it
        differs = [path for path, md5 in outs_of(project)[name].items() if expected[name][path] != md5]
        if name == "compare":  # both of its files show how long the trainings took
            differs = [] if _scores(project) == _scores(calm) else ["reports/comparison.json"]
        faults += [f"{path} is not as without kills" for path in differs]
        found.add(_row(name, kills) | {"dvc.lock cut short": int(cut_short)}, tried=len(kills), faults=faults)
    _add_rest(found, project=project)
    return found


def _without_lock(project: Path, name: str) -> tuple[str, int]:
    """What docs/data.md tells the user to do: finished stages then come from DVC's cache."""
    (project / "dvc.lock").unlink()
    return run(["dvc", "repro", name], cwd=project)


def _scores(project: Path) -> dict[str, Any]:
    """What the comparison says, without measured times and memory."""
    compared = json.loads((project / "reports/comparison.json").read_text(encoding="utf-8"))
    for scores in compared["experiments"].values():
        scores.pop("cost", None)
    return dict(compared)


def _kill_stage(
    project: Path, name: str, *, seconds: float, ways: list[str], rng: np.random.Generator
) -> tuple[list[Killed], list[str]]:
    """Ends the stage in these ways, one after another, at moments drawn over its whole length and a little beyond."""
    kills, faults, words = [], [], ["dvc", "repro", name]
    for way in ways:
        moment = float(rng.uniform(0, 1.1 * seconds + 1))
        done = kill(words, cwd=project, way=way, moment=moment, ready=lambda text: f"'{name}':" in text)
        if done.late:
            if done.status:
                faults.append(f"ended by itself with {done.status} after the kill before: {done.text[-300:]}")
            # It is finished: from now on it is made to run once more.
            words = ["dvc", "repro", "--force", "--single-item", "--no-run-cache", name]
        else:
            kills.append(done)
        if done.left:
            faults.append(f"{way} after {moment:.1f} s: {done.left} processes did not end")
    return kills, faults


def _row(name: str, kills: list[Killed]) -> dict[str, Any]:
    ended = [done.seconds for done in kills]
    return {
        "stage": name,
        "longest until all processes had ended, s": round(max(ended, default=0), 1),
        "ended with a traceback": sum(done.traceback for done in kills),
    }


def _add_rest(found: Findings, *, project: Path) -> None:
    """What holds for the whole project, after all."""
    states = run_states(project)
    wrong = [f"{count} runs are {state}" for state, count in states.items() if state != "FINISHED"]
    found.add({"stage": "MLflow's runs, in a final state"}, tried=sum(states.values()), faults=wrong)
    left = drafts_in(project)
    found.add({"stage": "unfinished files left in the project"}, tried=1, faults=left)
    text, status = run(["dvc", "repro"], cwd=project)
    ran = Counter(line.split("'")[1] for line in text.splitlines() if line.startswith("Running stage"))
    again = [f"{name} ran again" for name in ran] + ([f"ended with {status}"] if status else [])
    found.add({"stage": "dvc repro at the end does nothing"}, tried=1, faults=again)


DRILLS = {
    "kill_stages": Drill(
        "Kills in every stage",
        "`dvc repro STAGE` of a tiny project (5 phantoms, TwoPathCNN and InputCascadeCNN) is stopped repeatedly at random "
        "times during the stage, in four ways in turn: SIGKILL to all processes (a lost machine), SIGTERM to all (a "
        "scheduler), Ctrl-C, and SIGKILL to DVC alone. Then it runs to its end. Faults: an output that differs in any bit from "
        "an undisturbed run (except measured times in compare), a command that does not finish, a process that does not end, "
        "an MLflow run that stays open, an unfinished file.",
        run_kills,
    )
}
