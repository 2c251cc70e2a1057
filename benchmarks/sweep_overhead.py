"""The cost of a sweep in addition to training: python -m benchmarks.sweep_overhead [--trials N].

1. Overhead: trials whose training takes no time, with eight validation rounds each, run like real ones, with the study
in SQLite
   and the runs in MLflow's SQLite. The time per trial is all bookkeeping; the target is less than 3 % of 60 s.
2. Workers: the same small trials by one single-threaded worker and by two (target: at most 0.6 of the time), including
start-up,
   and the workers' private and shared memory.
"""

import argparse
import logging
import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.common import report
from brats_cascade.backend import keep_quiet
from brats_cascade.params import load_params
from brats_cascade.sweep.plan import Orders, Plan, plan_of

ROUNDS = 8
SMALL = {"width": 0.05, "tile": 32, "batch": 2, "steps": 250, "phase2_steps": 0, "checks": 2}


def small_plan(**changes: Any) -> Plan:
    """The plan of params.yaml with random settings that all cost about the same, and no pruning."""
    params = load_params(Path("params.yaml"))
    space = {"learning_rate": {"low": 0.0001, "high": 0.002, "log": True}}
    sweep = params.sweep.model_copy(
        update={"fixed": SMALL, "space": space, "pruner": "none", "sampler": "random", "patience": 0, **changes}
    )
    return plan_of(params.model_copy(update={"sweep": sweep}))


def overhead(folder: Path, *, trials: int) -> tuple[float, float]:
    """Seconds of bookkeeping per trial: by the clock, and of the processor."""
    from brats_cascade.sweep import records, worker
    from brats_cascade.sweep.objective import Objective, Outcome
    from brats_cascade.sweep.storage import open_storage
    from brats_cascade.sweep.study import make_study, open_study
    from brats_cascade.training.batches import TrainingData

    def train(*_: Any, on_check: Any, **__: Any) -> Outcome:
        history: list[dict[str, float]] = []
        for check in range(1, ROUNDS + 1):
            names = ("loss", "validation_loss", "validation_complete", "validation_core", "validation_enhancing")
            row = {"phase": 1, "check": check, "step": check * 60, **dict.fromkeys(names, 0.5), "seconds": 1.0}
            history.append(row)
            on_check(history)
        return Outcome(0.5, {"a": 0.5, "b": 0.5}, 1.0, 1000, 1000)

    plan = small_plan(pruner="median")
    url = f"sqlite:///{folder / 'optuna.db'}"
    storage = open_storage(url)
    made, _ = make_study("bench", storage=storage, plan=plan)
    with records.open_study_run(made, plan=plan, storage="", root=folder) as run:
        orders = Orders("bench", url, plan, folder, trials=1, parent=run.id)
        objective = Objective(orders, TrainingData([], [], {}, ()), train=train)
        study = open_study("bench", storage=storage, plan=plan)
        worker.run_trials(study, objective)  # imports and new tables
        started, used = time.perf_counter(), time.process_time()
        objective.orders = replace(orders, trials=trials + 1)
        while worker.run_trials(study, objective) == worker.UNFINISHED:
            pass
        return (time.perf_counter() - started) / trials, (time.process_time() - used) / trials


def sweep_seconds(folder: Path, *, workers: int, trials: int) -> tuple[float, list[dict[str, Any]]]:
    """Seconds of a whole sweep by workers of one thread each, and what each worker's last trial says of its memory."""
    from brats_cascade.sweep.run import run_sweep

    root = folder / f"workers-{workers}"
    root.mkdir()
    (root / "data").symlink_to(Path("data").resolve())
    started = time.perf_counter()
    done = run_sweep(
        small_plan(), name="bench", trials=trials, storage=f"sqlite:///{root / 'optuna.db'}", workers=str(workers), root=root,
        tell=logging.info,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    last = {
        trial.user_attrs["process"]: trial.user_attrs
        for trial in done.study.trials
        if "own_memory_mb" in trial.user_attrs
    }
    return seconds, list(last.values())


def workers_compared(folder: Path, *, trials: int) -> list[dict[str, Any]]:
    """One worker and two: their times and their memory."""
    rows: list[dict[str, Any]] = []
    for workers in (1, 2):
        seconds, memory = sweep_seconds(folder, workers=workers, trials=trials)
        row = {"what": f"{trials} trials, {workers} worker(s) of one thread", "seconds": round(seconds, 1)}
        for name in ("own", "shared"):
            row[f"{name} memory of each, MB"] = ", ".join(str(facts.get(f"{name}_memory_mb", "")) for facts in memory)
        rows.append(row)
    rows[1] |= {"share": round(rows[1]["seconds"] / rows[0]["seconds"], 3), "to reach": "0.6 of one worker's time"}
    return rows


def main() -> None:
    """Prints the table and writes docs/results/speed/sweep_overhead.json."""
    import optuna

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=8, help="of part 2; 0 leaves it out and writes no file")
    given = parser.parse_args()
    keep_quiet()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"):
        os.environ[name] = "1"
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    folder = Path(tempfile.mkdtemp())
    try:
        spent, used = overhead(folder, trials=20)
        rows = [
            {"what": "bookkeeping per trial", "seconds": round(spent, 2), "share": round(spent / 60, 4), "to reach": "0.03"},
            {"what": "of it on the processor", "seconds": round(used, 2), "share": round(used / 60, 4)},
        ]  # fmt: skip
        if given.trials:
            rows += workers_compared(folder, trials=given.trials)
    finally:
        shutil.rmtree(folder)
    if given.trials:
        report("sweep_overhead", rows=rows)
    else:
        print(rows)


if __name__ == "__main__":
    main()
