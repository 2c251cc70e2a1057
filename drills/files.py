"""Hostile files and names in a cohort with valid cases, and random pairs of damages."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from brats_cascade.data.cases import find_cases
from brats_cascade.data.prepare import prepare_case
from brats_cascade.errors import UserError
from brats_cascade.params import Recipe
from drills.common import Drill, Findings, Task
from drills.project import new_project, run

PAIRS = 300
SECONDS = 300.0  # for the whole cohort, on a busy machine


def run_files(task: Task) -> Findings:
    """A cohort through ingest and validate, then pairs."""
    found = Findings()
    _cohort(task, found)
    _pairs(task, found)
    return found


def _cohort(task: Task, found: Findings) -> None:
    """Every damage and every hostile name, each in a case of its own; the sound case must be there, the damaged not."""
    from bad_inputs import BAD, write_cohort
    from hostile_names import HOSTILE
    from layouts import tiny_volumes, write_layout

    project = new_project(task.folder / "project")
    cohort = project / "data/raw/cohort"
    names = write_cohort(cohort)
    for number, name in enumerate(HOSTILE):
        images, labels = tiny_volumes(seed=1000 + number)  # the same voxels twice would be excluded
        place = cohort / f"named{number}"
        write_layout(place, "brats2017", images=images, labels=labels)
        for path in sorted(place.rglob("*"), reverse=True):
            path.rename(path.with_name(path.name.replace("Brats18_ABC_1", name)))
    began, faults = time.monotonic(), []
    words = [sys.executable, "-m", "brats_cascade.cli", "data", "check", str(cohort)]
    text, status = run(words, cwd=project)
    if status != 1 or "Traceback" in text:
        faults.append(f"data check ended with {status}: {text[-300:]}")
    from tiny import change

    change(project, data={"source": "data/raw/cohort"})
    for name in ("ingest", "validate"):
        text, status = run([sys.executable, f"pipelines/{name}.py"], cwd=project)
        if status or "Traceback" in text:
            faults.append(f"{name} ended with {status}: {text[-300:]}")
    seconds = time.monotonic() - began
    accepted = set(json.loads((project / "data/verdict.json").read_text(encoding="utf-8"))["accepted"])
    faults += [f"{what} was accepted" for what, name in names.items() if name in accepted]
    sound = len(accepted) - sum(name in accepted for name in names.values())
    if sound != len(HOSTILE) + 1:
        faults.append(f"{len(HOSTILE) + 1 - sound} of the sound cases were not accepted")
    if seconds > SECONDS:
        faults.append(f"took {seconds:.0f} s")
    row = {"files": f"{len(BAD)} damages, {len(HOSTILE)} hostile names, 1 valid case", "excluded": len(BAD)}
    found.add({**row, "accepted": sound, "seconds": round(seconds)}, tried=len(BAD) + len(HOSTILE) + 1, faults=faults)
    shutil.rmtree(project)


def _pairs(task: Task, found: Findings) -> None:
    """Two damages, drawn at random, to one case: an error of one line, or a case."""
    from bad_inputs import BAD
    from layouts import tiny_volumes, write_layout

    rng, faults, refused = np.random.default_rng(task.seed), [], 0
    for number in range(task.times(PAIRS)):
        first, second = (list(BAD)[at] for at in rng.choice(len(BAD), 2, replace=False))
        layout = BAD[first][0]
        if BAD[second][0] != layout:
            second = first
        place = task.folder / f"pair{number}"
        images, labels = tiny_volumes(seed=number)
        write_layout(place, layout, images=images, labels=labels)
        (folder,) = [path for path in place.rglob("*") if path.name in ("BRATS_HG0001", "Brats18_ABC_1")]
        for what in dict.fromkeys((first, second)):
            if not all(path.is_file() or path.is_dir() for path in folder.rglob("*")):
                break  # the second damage would read a pipe or a device
            try:
                BAD[what][1](folder)
            except Exception:  # the second damage does not fit what the first has left
                break
        problem = _problem_of(place)
        refused += problem == "refused"
        if problem not in ("refused", "read"):
            faults.append(f"{first}, {second}: {problem}")
        shutil.rmtree(place)
    row = {"files": "two damages to one case", "excluded": refused, "accepted": task.times(PAIRS) - refused}
    found.add(row, tried=task.times(PAIRS), faults=faults)


def _problem_of(place: Path) -> str:
    began = time.process_time()
    try:
        for case in find_cases(place):
            prepare_case(case, recipe=Recipe(clip=0.01))
        said = "read"
    except UserError as error:
        said = "refused" if "\n" not in str(error) else f"several lines: {str(error)[:200]!r}"
    except Exception as error:
        said = f"{type(error).__name__}: {str(error)[:200]}"
    seconds = time.process_time() - began
    said = f"took {seconds:.0f} s" if seconds > 20 else said
    return said.replace(os.fspath(place), ".")


DRILLS = {
    "files": Drill(
        "Hostile files and names",
        "One cohort has a case for each problem: pipes, devices, files of gigabytes, damaged archives and headers, labels of "
        "another release, links to themselves, names that are HTML, formulas or escape sequences. It goes through `data "
        "check`, ingest and validate. Faults: a traceback, a damaged case that is accepted, a valid case that is not. Then "
        "cases get two random problems each; a fault is anything but an error line or a valid case within 20 s of CPU time.",
        run_files,
    )
}
