"""A sweep on one GPU with the project's command, killed once with all its workers, and resumed."""

import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_tables import BUSY
from benchmarks.gpu_watch import mean_busy, watched
from brats_cascade.params.file import read_tree, write_params
from brats_cascade.project import Project

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

STUDY = "gpu"
# Settings that leave the compiled step as it is: what one trial has compiled the others find.
SPACE: dict[str, Any] = {
    "learning_rate": {"low": 0.0001, "high": 0.005, "log": True},
    "class_weights": {"choices": ["slice", "cohort", "none"]},
    "weight_power": {"low": 0.0, "high": 1.0, "step": 0.25},
    "intensity": {"low": 0.0, "high": 0.3, "step": 0.05},
    "warmup": {"low": 0.0, "high": 0.2},
}


@dataclass(frozen=True)
class Sweep:
    """What is swept: trials in all, processes, settings that all trials share, and after how many trials it is killed."""

    trials: int
    workers: int
    fixed: dict[str, Any]
    heartbeat: int
    killed_after: int


def make_root(root: Path, *, data: Path, sweep: Sweep) -> None:
    """A project's folder for the sweep: the shipped params.yaml with the sweep's block, and the data by a link."""
    root.mkdir(parents=True)
    (root / "data").symlink_to(data.resolve())
    tree = read_tree(Path("params.yaml"), editable=True)
    tree["experiments"] = {"two_path": {"architecture": "two_path", "builds_on": "data/patches"}}
    block = {"experiment": "two_path", "fixed": sweep.fixed, "space": SPACE, "heartbeat": sweep.heartbeat}
    tree["sweep"] = block | {"pruner": "none", "seed": 1, "startup": 10}
    write_params(root / "params.yaml", tree)


def run(root: Path, *, sweep: Sweep, until: float, samples: Path) -> dict[str, Any]:
    """Runs the sweep, kills it, goes on with it; what became of its trials, as a row. After `until` it is ended."""
    with watched(samples) as seen:
        begun = time.time()
        with _started(root, sweep=sweep) as first:
            running = _wait(
                root, process=first, until=until, ready=lambda trials: _ready(trials, root=root, sweep=sweep)
            )
            killed = first.poll() is None
        stopped = time.time()
        with _started(root, sweep=sweep) as second:
            _wait(root, process=second, until=until, ready=lambda _: False)
            status = second.poll()
        ended = time.time()
    trials = _trials(root)
    row = {"trials asked for": sweep.trials, "workers": sweep.workers, **outcome(trials, asked=sweep.trials)}
    row |= {
        "killed": f"after {stopped - begun:.0f} s, {running} trials running" if killed else "no: it had ended",
        "gone on from a checkpoint": _resumed(root),
        "second command's status": "ended by the time limit" if status is None else status,
        "MLflow runs of trials": runs(root),
        "seconds in all": round(ended - begun),
    }
    ran = spans(trials, killed=stopped)
    whole = [(min(start for start, _ in ran), max(end for _, end in ran))] if ran else []
    busy = {
        f"{BUSY}, %": mean_busy(seen, spans=whole),
        "card busy while trials ran, %": mean_busy(seen, spans=ran),
        "card memory in use, at most, GiB": round(max(sample.memory for sample in seen) / 1024, 1) if seen else None,
        "power, mean, W": round(sum(sample.power for sample in seen) / len(seen)) if seen else None,
    }
    return row | {name: "no nvidia-smi here" if number is None else number for name, number in busy.items()}


def spans(trials: "Sequence[FrozenTrial]", *, killed: float) -> list[tuple[float, float]]:
    """When each trial ran, epoch seconds; a lost one, which is noted as failed later, until the kill."""
    from brats_cascade.sweep.trials import LOST, reason_of

    return [
        (
            trial.datetime_start.timestamp(),
            killed if reason_of(trial) == LOST else trial.datetime_complete.timestamp(),
        )
        for trial in trials
        if trial.datetime_start is not None and trial.datetime_complete is not None
    ]


def outcome(trials: "Sequence[FrozenTrial]", *, asked: int) -> dict[str, Any]:
    """How the trials of a study ended, and whether any of those asked for is missing."""
    from brats_cascade.sweep.trials import LOST, counted, reason_of, retried, score_of

    states = Counter(trial.state.name for trial in trials)
    lost = {trial.number for trial in trials if reason_of(trial) == LOST}
    again = lost & retried(trials)
    whole = [trial for trial in counted(trials) if trial.state.name in ("COMPLETE", "PRUNED")]
    scores = [score_of(trial) for trial in trials if trial.state.name == "COMPLETE"]
    return {
        "complete": states["COMPLETE"],
        "failed": states["FAIL"] - len(lost),
        "lost by the kill": len(lost),
        "requeued": len(again),
        "left unfinished": states["RUNNING"] + states["WAITING"],
        "nothing lost": "yes" if len(whole) >= asked and lost == again else "no",
        "complete Dice, least and best": f"{min(scores):.3f}, {max(scores):.3f}" if scores else "",
    }


def runs(root: Path) -> str:
    """States of the trials' MLflow runs."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, "tags.kind = 'trial'", max_results=1000)
    return ", ".join(f"{count} {state}" for state, count in sorted(Counter(run.info.status for run in found).items()))


@contextlib.contextmanager
def _started(root: Path, *, sweep: Sweep) -> Iterator["subprocess.Popen[bytes]"]:
    """The command, in a process group of its own; on the way out it and all its workers are killed, if they still run."""
    import psutil

    words = ["--study", STUDY, "--trials", str(sweep.trials), "--workers", str(sweep.workers)]
    environment = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "DVC_ROOT")}
    with (root / "sweep.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "brats_cascade.cli", "sweep", *words, "--storage", _storage(root)], cwd=root,
            env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            workers = psutil.Process(process.pid).children(recursive=True)
            os.killpg(process.pid, signal.SIGKILL)
            for worker in workers:  # in groups of their own, so that Ctrl-C does not reach them
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.kill()
            psutil.wait_procs(workers, timeout=30)
            process.wait()


def _storage(root: Path) -> str:
    return f"sqlite:///{root / 'optuna.db'}"


def _wait(root: Path, *, process: "subprocess.Popen[bytes]", until: float, ready: Any) -> int:
    """Waits for the command's end, for trials that are `ready`, or until the time is over; the number of running trials."""
    while process.poll() is None and time.time() < until:
        time.sleep(0.3)
        trials = _trials(root)
        if ready(trials):
            return sum(trial.state.name == "RUNNING" for trial in trials)
    return 0


def _ready(trials: "Sequence[FrozenTrial]", *, root: Path, sweep: Sweep) -> bool:
    """Enough trials have ended, and one that runs has a checkpoint."""
    running = [trial.number for trial in trials if trial.state.name == "RUNNING"]
    folder = Project(root).work / "sweep" / STUDY
    return sum(trial.state.name == "COMPLETE" for trial in trials) >= sweep.killed_after and any(
        (folder / f"{number:04d}" / "checkpoint.npz").is_file() for number in running
    )


def _trials(root: Path) -> "list[FrozenTrial]":
    """The study's trials so far; none before the command has made the study."""
    from sqlalchemy.exc import SQLAlchemyError

    if not (Project(root).work / "sweep" / STUDY).is_dir():
        return []
    with contextlib.suppress(KeyError, SQLAlchemyError):
        return _study(_storage(root)).get_trials()
    return []


@functools.cache  # once it is there
def _study(storage: str) -> "Study":
    import optuna

    return optuna.load_study(study_name=STUDY, storage=storage)


def _resumed(root: Path) -> int:
    """Trainings that went on from a checkpoint, as the workers' logs say."""
    logs = (Project(root).work / "sweep" / STUDY).glob("worker-*.log")
    return sum(
        len(re.findall("resuming from phase", log.read_text(encoding="utf-8", errors="replace"))) for log in logs
    )
