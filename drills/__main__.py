"""Runs drills and writes docs/reliability.md.

    python -m drills [NAME ...] [--seed N] [--share X] [--jobs N] [--again] [--page]

Each drill runs in a separate process. A drill with a record of this commit, seed and share is not repeated, so after a kill the
same command runs only what is missing.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from brats_cascade.orphans import watch
from brats_cascade.provenance import git_commit
from drills import ROOT
from drills.common import WORK, Findings, Task, read_record, write_record
from drills.isolation import alone
from drills.page import write_page
from drills.table import DRILLS


def main() -> None:
    """Runs the drills; exit status 1 if one found a fault."""
    given = _arguments()
    if given.here:
        _run_here(given.names[0], seed=given.seed, share=given.share)
        return
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if not given.page:
        names = [name for name in given.names or DRILLS if given.again or not _is_done(name, given)]
        with ThreadPoolExecutor(given.jobs) as pool:
            list(pool.map(lambda name: _run(name, given), names))
    page = write_page()
    faults = sum(read_record(name).get("faults", 1) for name in given.names or DRILLS)
    print(f"{faults} fault(s); {page.relative_to(ROOT)}")
    sys.exit(1 if faults else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m drills", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(DRILLS)}")
    parser.add_argument("--seed", type=int, default=1, help="of everything drawn at random (default 1)")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of attempts (default 1)")
    parser.add_argument("--jobs", type=int, default=2, help="drills at once (default 2)")
    parser.add_argument("--again", action="store_true", help="also those with a record of this commit, seed and share")
    parser.add_argument("--page", action="store_true", help="only write the page again, from the records")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # one drill, in this process
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(DRILLS))
    if unknown:
        parser.error(f"no drill {unknown[0]!r}; known: {', '.join(DRILLS)}")
    return given


def _is_done(name: str, given: argparse.Namespace) -> bool:
    record, commit = read_record(name), git_commit(ROOT)
    same = (record.get("seed"), record.get("share"), record.get("commit")) == (given.seed, given.share, commit)
    return same and "+" not in commit


def _run(name: str, given: argparse.Namespace) -> None:
    """Runs a drill in a separate process; ending without a record also counts as a fault."""
    WORK.mkdir(parents=True, exist_ok=True)
    task, began, log = Task(WORK / name, given.seed, given.share), time.monotonic(), WORK / f"{name}.log"
    prefix = alone(DRILLS[name].namespace)
    if prefix is None:
        write_record(name, task=task, found=Findings(), seconds=0, not_run="needs root")
        print(f"{name}: not run: needs root", flush=True)
        return
    words = [sys.executable, "-m", "drills", name, "--here", "--seed", str(given.seed), "--share", str(given.share)]
    with log.open("wb") as file:
        done = subprocess.run([*prefix, *words], cwd=ROOT, stdout=file, stderr=file)
    seconds = time.monotonic() - began
    if done.returncode:
        text = f"the drill itself ended with {done.returncode}, see its log"
        found = Findings()
        found.add({"what": name}, tried=1, faults=[text])
        write_record(name, task=task, found=found, seconds=seconds)
        print("".join(f"  {line}\n" for line in log.read_text(errors="replace").splitlines()[-8:]), end="")
    record = read_record(name)
    print(f"{name}: {record['faults']} of {record['tried']:,} in {seconds:.0f} s", flush=True)
    for text in record["examples"]:
        print(f"  {text}", flush=True)


def _run_here(name: str, *, seed: int, share: float) -> None:
    parent, began = os.getppid(), time.monotonic()
    watch(lambda: os.getppid() == parent, end=_end)
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    task = Task(folder, seed, share)
    found = DRILLS[name].run(task)
    write_record(name, task=task, found=found, seconds=time.monotonic() - began)
    shutil.rmtree(folder, ignore_errors=True)


def _end() -> None:
    """Ends together with the process that started this drill, and ends its own child processes."""
    for process in psutil.Process().children(recursive=True):
        process.kill()
    os._exit(1)


if __name__ == "__main__":
    main()
