"""All GPU benchmarks under JAX, in at most 8 minutes: python -m benchmarks.gpu --out FOLDER (docs/profiling.md).

1. An Optuna sweep of real trainings by workers that share the GPU, killed once and resumed.
2. Device seconds for a case and for a training step of every kind of network; the output layer's two forms.
3. The losses of the same training on the GPU and on the CPU.

It needs JAX, and `data/` after `dvc repro patches`. Without a GPU it runs slowly on the CPU; use `--small`.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, write_record
from benchmarks.gpu_sweep import Sweep, make_root, run
from benchmarks.gpu_tables import goal_rows, loss_rows
from brats_cascade import provenance
from brats_cascade.errors import UserError
from brats_cascade.sweep.material import refuse_missing
from brats_cascade.sweep.workers import KEEP_ALL

WORK = Path(".work/gpu")
KEPT = ("params.yaml", "optuna.db", "mlflow.db", "mlruns", "reports", "sweep.log", ".work/sweep")
SHARED = {"procedure": "single", "phase2_steps": 0}
REST = 215  # seconds for what comes after the sweep, its start and its end
# The paper's width, tiles that fill the card, and two looks at the validation patients.
FIXED = SHARED | {"width": 1.0, "tile": 64, "batch": 32, "checks": 2, "precision": "float32"}
LOSSES = SHARED | {"width": 0.25, "tile": 32, "batch": 4, "steps": 8, "checks": 1}


@dataclass(frozen=True)
class Scale:
    """How much is done: seconds in all; the sweep; the trainings whose losses are compared, in which arithmetic."""

    seconds: float
    sweep: Sweep
    losses: Mapping[str, dict[str, Any]]
    arithmetic: Sequence[Mapping[str, bool]] = ({}, {"whole": True})
    compilers: int = 0
    words: tuple[str, ...] = ()


FULL = Scale(
    465, Sweep(40, 4, FIXED, heartbeat=4, killed_after=10),
    {name: LOSSES for name in ("two_path", "unet", "coarse_cascade")}, compilers=4,
)  # fmt: skip
TINY = SHARED | {"width": 0.05, "tile": 16, "batch": 2, "checks": 1, "steps": 20, "checkpoint_steps": 5}
SMALL = Scale(
    600, Sweep(3, 1, TINY, heartbeat=3, killed_after=0), {"two_path": TINY | {"steps": 8}}, ({},), words=("--small",)
)  # fmt: skip


@dataclass
class Run:
    """One run of the benchmark: its scale, when it began, its rows so far, and what went wrong."""

    scale: Scale
    begun: float = field(default_factory=time.time)
    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def left(self, spare: float = 0.0) -> float:
        """Epoch seconds at which the time is over, less what is spared for later."""
        return self.begun + self.scale.seconds - spare

    def part(self, name: str, work: Callable[[], Any]) -> Any:
        """Runs one part; an error is noted, and the other parts continue."""
        print(f"{time.time() - self.begun:4.0f} s: {name}", flush=True)
        try:
            return work()
        except Exception as error:  # the time on a card is short: what can be measured is
            self.problems.append(f"{name}: {type(error).__name__}: {error}")
            print(self.problems[-1], flush=True)
            return None


def set_environment() -> None:
    """JAX computes, takes memory as it needs it, and shares what it compiles with every later process."""
    shared = {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_COMPILATION_CACHE_DIR": str((WORK / "compiled").resolve()),
        **KEEP_ALL,
    }
    os.environ.update({**shared, **os.environ, "KERAS_BACKEND": "jax"})


def child(module: str, *words: str, until: float, given: Any = None, **changes: str) -> None:
    """Runs a module of this package in a process of its own, which is killed after `until`.

    Raises:
        RuntimeError: It failed; with its last line.
    """
    log = WORK / f"{module}{changes.get('JAX_PLATFORMS', '')}.log"
    with log.open("a", encoding="utf-8") as output:
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{module}", *words], input=json.dumps(given), text=True, stdout=output,
            stderr=subprocess.STDOUT, env={**os.environ, **changes}, timeout=max(1.0, until - time.time()), check=False,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"status {done.returncode}: {log.read_text(encoding='utf-8').strip().splitlines()[-1]}")


def trainings(
    name: str, *, root: Path, jobs: list[dict[str, Any]], until: float, **changes: str
) -> list[dict[str, Any]]:
    """What gpu_train notes of some trainings, with changes of its environment; those that end before `until`."""
    path = WORK / f"{name}.jsonl"
    with contextlib.suppress(subprocess.TimeoutExpired):
        child("gpu_train", str(path), until=until, given={"root": str(root), "jobs": jobs}, **changes)
    return read_rows(path)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """One row a line; none without the file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def fitted(run_: Run, *, root: Path) -> Sweep:
    """The sweep with as many steps a trial as fill its time, by two trainings; the first one compiles for all trials.

    Whether the card or a worker's own core is what they wait for, a step of all workers takes at least the longer of both.
    """
    sweep, steps = run_.scale.sweep, 40
    if "steps" in sweep.fixed:
        return sweep
    job = {"architecture": "two_path", "train": sweep.fixed | {"steps": steps}, "timed": True}
    _, second = trainings("pilot", root=root, jobs=[job, job], until=run_.left(REST) - 60)
    apart = max(0.0, second["seconds"] - steps * second["step"]) + 3  # tracing, validation, bookkeeping
    at_once = max(second["step"], sweep.workers * second["device"])
    swept = max(60.0, run_.left(REST) - time.time())
    count = (swept * sweep.workers / sweep.trials - apart) / at_once
    fixed = sweep.fixed | {"steps": min(2000, max(60, int(count)))}
    fixed["checkpoint_steps"] = max(5, fixed["steps"] // 4)
    print(
        f"pilot: {second['seconds']:.1f} s, a step {second['step']:.4f} s, device {second['device']:.4f} s; {fixed}",
        flush=True,
    )
    return replace(sweep, fixed=fixed)


def swept(run_: Run, *, out: Path) -> dict[str, Any]:
    """The sweep's row; what it leaves goes to the folder `out`."""
    root = WORK / "project"
    sweep = fitted(run_, root=WORK / "pilot")
    make_root(root, data=Path("data"), sweep=sweep)
    row = run(root.resolve(), sweep=sweep, until=run_.left(REST - 60), samples=out / "card.csv")
    with tarfile.open(out / "sweep.tar.gz", "w:gz") as archive:
        for name in filter(lambda name: (root / name).exists(), KEPT):
            archive.add(root / name, arcname=f"sweep/{name}")
    page = root / "reports" / "sweep.html"
    if page.is_file():
        shutil.copyfile(page, out / "sweep.html")
    return row | {"settings": ", ".join(f"{key} {value}" for key, value in sweep.fixed.items())}


def losses(run_: Run) -> list[dict[str, Any]]:
    """The same trainings on the card, as shipped and in whole float32, and on the processor."""
    jobs = [{"architecture": name, "train": train} for name, train in run_.scale.losses.items()]
    both = [job | whole for job in jobs for whole in run_.scale.arithmetic]
    until, root, words = min(run_.left(20), time.time() + 90), WORK / "pilot", run_.scale.words
    with ThreadPoolExecutor(2 + run_.scale.compilers) as threads:
        for number in range(run_.scale.compilers):  # of what is timed next
            part = "compile", str(number), str(run_.scale.compilers), *words
            threads.submit(child, "gpu_speed", *part, until=until)
        card = threads.submit(trainings, "card", root=root, jobs=both, until=until)
        processor = threads.submit(trainings, "processor", root=root, jobs=jobs, until=until, JAX_PLATFORMS="cpu")
        return loss_rows(card.result(), expected=processor.result())


def main() -> None:
    """Runs all parts and writes gpu.json, card.csv, sweep.html, and archives of what the sweep left and of the logs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for what it leaves")
    parser.add_argument("--small", action="store_true", help="a miniature of all parts, for the processor")
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="how long it may take; a shorter sweep gives way first"
    )
    parser.add_argument("--commit", default="", help="what runs here, where there is no git")
    asked = parser.parse_args()
    try:
        refuse_missing(Path(), cnn1=None)
    except UserError as error:
        sys.exit(f"error: {error}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # on the way out no child is left
    scale = SMALL if asked.small else FULL
    run_ = Run(replace(scale, seconds=asked.seconds or scale.seconds))
    for name in ("project", "pilot"):
        shutil.rmtree(WORK / name, ignore_errors=True)
    for path in (*WORK.glob("*.log"), *WORK.glob("*.json*")):
        path.unlink()
    asked.out.mkdir(parents=True, exist_ok=True)
    set_environment()
    make_root(WORK / "pilot", data=Path("data"), sweep=run_.scale.sweep)
    measure(run_, out=asked.out)
    machine = next((row["machine"] for row in run_.rows if row["part"] == "machine"), provenance.machine())
    rows = [row for row in run_.rows if row["part"] != "machine"]
    record = {"rows": rows, "machine": machine, "commit": asked.commit or provenance.git_commit(Path.cwd())}
    for folder in [asked.out] if asked.small else [asked.out, RESULTS]:
        write_record("gpu", folder=folder, **record)
    with tarfile.open(asked.out / "logs.tar.gz", "w:gz") as archive:
        for log in WORK.glob("*.log"):
            archive.add(log, arcname=log.name)
    print("\n".join(map(json.dumps, rows)))
    sys.exit("\n".join(run_.problems) or 0)


def measure(run_: Run, *, out: Path) -> None:
    """All parts; the one that can leave something out comes last."""
    row = run_.part("sweep", lambda: swept(run_, out=out))
    run_.rows += [{"part": "sweep", **row}] if row else []
    run_.rows += [{"part": "losses", **row} for row in run_.part("losses", lambda: losses(run_)) or []]
    path = WORK / "speed.jsonl"
    run_.part("speed", lambda: child("gpu_speed", str(path), str(run_.left(30)), *run_.scale.words, until=run_.left()))
    run_.rows += read_rows(path)
    run_.rows += [{"part": "goals", **row} for row in goal_rows(run_.rows)]
    run_.rows += [{"part": "problems", "problem": problem} for problem in run_.problems]


if __name__ == "__main__":
    main()
