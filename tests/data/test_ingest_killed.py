"""SIGKILL at any moment, again and again: finished cases stay as they are, and the end is what one quiet run gives."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from layouts import tiny_volumes, write_layout
from processes import SRC, unmeasured

from brats_cascade.data.cases import find_cases
from brats_cascade.data.ingest import ingest
from brats_cascade.data.store import list_cases, open_case
from brats_cascade.params import Recipe

COUNT = 8
KILLS = 4
CODE = """
import sys
from pathlib import Path
from brats_cascade.data.cases import find_cases
from brats_cascade.data.ingest import ingest
from brats_cascade.params import Recipe
cases = find_cases(Path(sys.argv[1]))
print("ready", flush=True)
store, recipe = Path(sys.argv[2]), Recipe(clip=0.01)
ingest(cases, root=store, kept=Path(f"{store}-kept"), recipe=recipe, workers=int(sys.argv[3]))
"""


def write_cases(folder):
    for number in range(COUNT):
        images, labels = tiny_volumes(seed=number, shape=(100, 100, 80))
        write_layout(folder / str(number), "brats2017", images=images, labels=labels)
        for path in sorted((folder / str(number)).rglob("Brats18*"), reverse=True):
            path.rename(path.with_name(path.name.replace("ABC", f"N{number}")))


def stamps(store):
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for name in list_cases(store)
        for path in (store / name).iterdir()
    }


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_kills_at_any_moment_lose_and_redo_nothing(tmp_path, rng, workers):
    write_cases(tmp_path / "in")
    store, kills = tmp_path / "store", 0
    words = [sys.executable, "-c", CODE, str(tmp_path / "in"), str(store), str(workers)]
    environment = unmeasured(PYTHONPATH=str(SRC))
    before: dict[Path, tuple[int, int]] = {}
    for _ in range(60):
        # a group of its own, so that the kill takes the workers along as a lost machine would
        with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, start_new_session=True) as process:
            assert process.stdout and process.stdout.readline() == b"ready\n"
            if kills < KILLS:
                # wait for a case to be finished since the last kill, and then for any fraction of the next one
                deadline = time.monotonic() + 180  # starting takes long on a busy machine
                while len(list_cases(store)) == len(before) // 4 and process.poll() is None:
                    assert time.monotonic() < deadline
                    time.sleep(0.001)
                time.sleep(float(rng.uniform(0, 0.15)))
                with contextlib.suppress(ProcessLookupError):  # on a busy machine it may have come to its end already
                    os.killpg(process.pid, signal.SIGKILL)
                kills += process.wait(60) == -signal.SIGKILL
            else:
                assert process.wait(120) == 0
        for name in list_cases(store):
            case = open_case(store / name)  # whole: all its files are there
            assert case.labels is not None and case.image.shape == (*case.brain.shape, 4)
        after = stamps(store)
        assert {path: after.get(path) for path in before} == before  # nothing finished was made again
        before = after
        if process.returncode == 0:
            if kills == KILLS:
                break
            shutil.rmtree(tmp_path / "store-kept")
            shutil.rmtree(store)  # too late to kill it: from the start, until it has been killed often enough
            before = {}
    assert kills == KILLS and len(list_cases(store)) == COUNT
    ingest(
        find_cases(tmp_path / "in"),
        root=tmp_path / "quiet",
        kept=tmp_path / "quiet-kept",
        recipe=Recipe(clip=0.01),
        workers=1,
    )
    for path in (tmp_path / "quiet").rglob("*.*"):
        assert path.read_bytes() == (store / path.relative_to(tmp_path / "quiet")).read_bytes()
    assert sorted(entry.name for entry in store.iterdir()) == list_cases(store)
