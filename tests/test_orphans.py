"""A stage ends with the DVC that runs it, whatever shell lies between the two."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

STAGE = """
import pathlib, sys, time
from brats_cascade.orphans import end_with_dvc
from brats_cascade.tracking.owner import heeding_sigterm

end_with_dvc()
with heeding_sigterm():
    try:
        pathlib.Path(sys.argv[1]).with_suffix(".begun").touch()
        time.sleep(60)
    finally:
        pathlib.Path(sys.argv[1]).touch()
"""
DVC = "import subprocess, sys; subprocess.run(sys.argv[1:])"


def wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("line", ["{} {} {}", "{} {} {}; true"])  # a shell may run its last command in its own place
def test_a_stage_ends_when_dvc_is_killed(tmp_path: Path, line: str) -> None:
    (tmp_path / "stage.py").write_text(STAGE)
    ended = tmp_path / "ended"
    shell = ["/bin/sh", "-c", line.format(sys.executable, tmp_path / "stage.py", ended)]
    source = str(Path(__file__).parents[1] / "src")
    environment = {**os.environ, "DVC_STAGE": "train@two_path", "PYTHONPATH": source}
    dvc = subprocess.Popen([sys.executable, "-c", DVC, *shell], env=environment)
    wait_for(ended.with_suffix(".begun"))
    below = psutil.Process(dvc.pid).children(recursive=True)
    dvc.send_signal(signal.SIGKILL)
    try:
        wait_for(ended)
        left = psutil.wait_procs(below, timeout=10)[1]
    finally:
        dvc.wait()  # until here it was a zombie
        for process in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    assert not left


def test_a_stage_started_by_hand_outlives_its_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    from brats_cascade import orphans

    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.setattr(orphans, "watch", lambda *_, **__: pytest.fail("watched"))
    orphans.end_with_dvc()


SPREAD = """
import os, pathlib, sys, time
from brats_cascade.data.spread import run_cases

def work(case):
    pathlib.Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(60)

run_cases(work, ["a", "b"], workers=2, title="a")
"""


@pytest.mark.slow
def test_processes_that_share_cases_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    source = str(Path(__file__).parents[1] / "src")
    words = [sys.executable, "-c", SPREAD, str(tmp_path)]
    first = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": source})
    until = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    workers = [psutil.Process(int(path.name)) for path in tmp_path.iterdir()]
    first.kill()
    left = psutil.wait_procs(workers, timeout=10)[1]
    first.wait()
    for process in left:
        process.kill()
    assert not left


@pytest.mark.slow
def test_ctrl_c_does_not_interrupt_the_processes_that_share_cases(tmp_path: Path) -> None:
    interrupting = "import os, signal, sys\nif 'loky' in ' '.join(sys.orig_argv): os.kill(os.getpid(), signal.SIGINT)\n"
    (tmp_path / "sitecustomize.py").write_text(interrupting)  # while a process starts
    (tmp_path / "program.py").write_text(
        "import signal\nfrom brats_cascade.data.spread import run_cases\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # also where the tests run in the background
        "print(sorted(run_cases(str.upper, ['a', 'b'], workers=2, title='')))\nsignal.raise_signal(signal.SIGINT)"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1] / "src")])
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "['A', 'B']\n")  # the program itself is interrupted
    assert done.stderr.count("Traceback") == 1 and done.stderr.endswith("KeyboardInterrupt\n")
