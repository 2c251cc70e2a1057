"""A training and its evaluation with tracking servers that block, confuse or refuse their callers."""

import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from drills.common import Drill, Findings, Task
from drills.project import copy_of, differing, quiet, run, run_states, seconds_of, stage

NAME = "two_path"
LIMIT = 20.0  # seconds: the default of BRATS_CASCADE_LOGGING_SECONDS, for each stage
SLACK = 30.0  # seconds that two stages may differ by on a busy machine, besides
AT_ONCE = 3
# What a stage says of it: the one that finds the server away, and the one after it, which has no run to go on with.
TOLD = ("nothing more is logged there in this run", "not completely logged to MLflow; the next")
OUTS = [f"models/{NAME}", f"metrics/{NAME}/summary.json", f"segmentations/{NAME}"]


def run_trackers(task: Task) -> Findings:
    """Each kind of server in a copy of the project, a few at a time: most of it is waiting."""
    from servers import ANSWERS, MORE

    calm, found = quiet(), Findings()
    kinds = {"nobody listens": None, **ANSWERS, **MORE}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(_beside, task.folder / f"{n}", kind, calm) for n, kind in enumerate(kinds.values())]
        for kind, job in zip(kinds, jobs, strict=True):
            row, faults = job.result()
            found.add({"the server": kind, **row}, tried=2, faults=faults)
    return found


def _beside(folder: Path, answer: Any, calm: Path) -> tuple[dict[str, Any], list[str]]:
    """Trains and evaluates beside a server, then without it; what was not logged must be logged then."""
    from servers import server

    project, faults = _untrained(copy_of(calm, folder)), []
    if answer is None:
        seconds, faults = _stages(project, port=9)
    else:
        with server(answer) as port:
            seconds, faults = _stages(project, port=port)
    faults += [f"{path} is not as without a server" for path in differing(project, like=calm, outs=OUTS)]
    text, status = run([sys.executable, "-m", "brats_cascade.cli", "results"], cwd=project)
    logged = run_states(project, name=NAME) == {"FINISHED": 1}
    if status or not logged:
        faults.append(
            f"afterwards `brats-cascade results` ended with {status}, runs: {run_states(project)} {text[-200:]}"
        )
    row = {f"{name}, s": round(spent) for name, spent in seconds.items()}
    shutil.rmtree(project)
    return {**row, "logged afterwards": "yes" if logged else "no"}, faults


def _untrained(project: Path) -> Path:
    for path in (*(project / out for out in OUTS), project / ".work/runs", project / ".work/train", project / "mlruns"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    (project / "mlflow.db").unlink()
    return project


def _stages(project: Path, *, port: int) -> tuple[dict[str, float], list[str]]:
    """Seconds of both stages, of which waiting may be LIMIT each, and what was wrong."""
    seconds, faults = {}, []
    for kind in ("train", "evaluate"):
        began = time.monotonic()
        text, status = run(stage(f"{kind}@{NAME}"), cwd=project, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
        seconds[kind] = time.monotonic() - began
        if not any(words in text for words in TOLD):
            faults.append(f"{kind} does not say that MLflow did not get all of it")
        if status or "Traceback" in text:
            faults.append(f"{kind} ended with {status}: {text[-300:]}")
    usual = {kind: seconds_of(quiet(), f"{kind}@{NAME}") for kind in seconds}
    for kind, spent in seconds.items():
        if spent > usual[kind] + LIMIT + SLACK * (1 + os.getloadavg()[0]):
            faults.append(f"{kind} took {spent:.0f} s, {usual[kind]:.0f} s without a server")
    return seconds, faults


DRILLS = {
    "trackers": Drill(
        "Misbehaving tracking servers",
        f"`train` and `evaluate` of {NAME} run with `MLFLOW_TRACKING_URI` set to a local server that behaves as listed, then "
        "`brats-cascade results` runs without it. Faults: an exit status other than 0, a traceback, a network or score that "
        f"differs in any bit from a run without a server, more than {LIMIT:g} s of waiting in a stage (plus the delay of a "
        "busy machine), a stage that does not report what was not logged, a run that is not logged completely afterwards.",
        run_trackers,
    )
}
