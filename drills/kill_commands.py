"""Ends a sweep and `predict` at random times; rerunning the command must give the result of an undisturbed run."""

import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from drills.common import Drill, Findings, Task
from drills.kills import WAYS, Killed, kill
from drills.project import copy_of, differing, drafts_in, quiet, run, run_states

CLI = (sys.executable, "-m", "brats_cascade.cli")
TRIALS = 3
SWEEP_SECONDS = 40.0  # moments are drawn up to here


def run_sweep(task: Task) -> Findings:
    """A study of a few trials by two workers."""
    project = copy_of(quiet(), task.folder / "project")
    (project / "mlflow.db").unlink()
    words = [*CLI, "sweep", "--trials", str(TRIALS), "--workers", "2"]
    rng, found = np.random.default_rng(task.seed), Findings()
    kills, faults = _ends(words, project, seconds=SWEEP_SECONDS, times=task.times(2), rng=rng)
    text, status = run(words, cwd=project)
    if status:
        faults.append(f"the same command, not disturbed, ended with {status}: {text[-300:]}")
    found.add(_row("sweep", kills), tried=len(kills), faults=faults)
    states = _trials(project)
    wrong = [] if states["COMPLETE"] == TRIALS and not states["RUNNING"] else [f"its trials: {dict(states)}"]
    found.add({"command": f"{TRIALS} trials complete, none open"}, tried=sum(states.values()), faults=wrong)
    runs = run_states(project)
    open_ones = [f"{count} runs are {state}" for state, count in runs.items() if state in ("RUNNING", "SCHEDULED")]
    found.add({"command": "MLflow's runs in a final state"}, tried=sum(runs.values()), faults=open_ones)
    left = [*drafts_in(project), *(str(path.name) for path in (project / ".work/sweep/sweep").glob("0*"))]
    found.add({"command": "checkpoints and unfinished files left"}, tried=1, faults=left)
    return found


def run_predict(task: Task) -> Findings:
    """Segmentations of the whole cohort, with one process and with two."""
    project, found = copy_of(quiet(), task.folder / "project"), Findings()
    given = [*CLI, "predict", "data/raw/phantom", "--model", "models/two_path", "--model", "models/input_cascade"]
    began = time.monotonic()
    text, status = run([*given, "--out", "calm"], cwd=project)
    calm = time.monotonic() - began
    if status:
        raise RuntimeError(text)
    for workers in ("1", "2"):
        words = [*given, "--workers", workers, "--out", "found"]
        rng = np.random.default_rng([task.seed, int(workers)])
        out = project / "found"
        kills, faults = _ends(words, project, seconds=calm, times=task.times(1), rng=rng, afresh=out)
        text, status = run(words, cwd=project)
        if status:
            faults.append(f"the same command, not disturbed, ended with {status}: {text[-300:]}")
        faults += _differing(project)
        found.add(_row(f"predict, {workers} processes", kills), tried=len(kills), faults=faults + drafts_in(project))
        shutil.rmtree(project / "found")
    return found


def _differing(project: Path) -> list[str]:
    calm, ours = project / "calm", project / "found"
    names = sorted(path.name for path in calm.iterdir())
    missing = [f"{path.name} is too much" for path in ours.iterdir() if path.name not in names]
    return missing + [f"{name} is not as without kills" for name in differing(ours, like=calm, outs=names)]


def _ends(
    words: list[str], project: Path, *, seconds: float, times: int, rng: np.random.Generator, afresh: Path | None = None
) -> tuple[list[Killed], list[str]]:
    """Ends a command `times` in each way; one that had come to its end needs no more kills, unless it begins `afresh`."""
    kills, faults = [], []
    for way in [way for _ in range(times) for way in WAYS]:
        if afresh is not None:
            shutil.rmtree(afresh, ignore_errors=True)
        moment = float(rng.uniform(0, seconds))
        done = kill(words, cwd=project, way=way, moment=moment, ready=lambda _: True)
        if done.late:
            if done.status:
                faults.append(f"ended by itself with {done.status} after the kill before: {done.text[-300:]}")
            if afresh is None:
                break
            continue
        kills.append(done)
        if done.left:
            faults.append(f"{way} after {moment:.1f} s: {done.left} processes did not end")
    return kills, faults


def _row(name: str, kills: list[Killed]) -> dict[str, object]:
    longest = round(max((done.seconds for done in kills), default=0), 1)
    tracebacks = sum(done.traceback for done in kills)
    return {"command": name, "longest until all processes had ended, s": longest, "ended with a traceback": tracebacks}


def _trials(project: Path) -> "Counter[str]":
    import optuna

    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{project / 'optuna.db'}")
    return Counter(trial.state.name for trial in study.trials)


DRILLS = {
    "kill_sweep": Drill(
        "Kills of a sweep",
        f"`sweep --trials {TRIALS} --workers 2` is stopped at random times in the same four ways, then runs to its end. "
        "Faults: a wrong number of complete trials, a trial or an MLflow run that stays open, a leftover checkpoint.",
        run_sweep,
    ),
    "kill_predict": Drill(
        "Kills of a prediction",
        "`predict` of five cases with two networks is stopped at random times in the same four ways, then runs to its end. "
        "Faults: a segmentation that differs in any bit from an undisturbed run, an unfinished file.",
        run_predict,
    ),
}
