"""Tracking servers that hold every caller: a training waits for them no longer than the limit, and says so once."""

import subprocess
import sys
import threading
import time

import pandas as pd
import pytest
from servers import ANSWERS, server

from brats_cascade import tracking
from brats_cascade.errors import UserError
from brats_cascade.tracking import waiting
from brats_cascade.tracking.champion import contest
from brats_cascade.tracking.registry import alias_run, point_to
from brats_cascade.tracking.waiting import SECONDS, Line, line, renew


@pytest.fixture(autouse=True)
def own_limit(monkeypatch):
    """A limit of a second, and none of it left to later tests."""
    monkeypatch.setenv(SECONDS, "1")
    monkeypatch.setattr(waiting, "_line", None)


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_training_waits_no_longer_than_the_limit(kind, monkeypatch, tmp_path, caplog):
    import mlflow  # noqa: F401 - which takes seconds itself

    with server(ANSWERS[kind]) as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        began = time.monotonic()
        with tracking.start_run("held", params={"a": 1}, root=tmp_path, finish=True) as run:
            run.log_history(pd.DataFrame({"phase": [1], "step": [1], "loss": [0.5]}))
            run.log_scores({"core": {"dice": 0.5}})
        with tracking.start_run("held", run_id="f" * 32, finish=True, root=tmp_path) as again:
            again.log_tags({"a": 1})
        assert contest(tmp_path, experiments=[]).champion is None
        assert (alias_run(tmp_path), point_to("x", root=tmp_path)) == ("", None)
        assert time.monotonic() - began < 10  # a busy machine takes its time
    assert (run.id, run.online, again.online) == ("", False, False)
    [line, *_] = [record.getMessage() for record in caplog.records if record.name == "brats_cascade.tracking.run"]
    assert "no answer within 1 s of waiting, BRATS_CASCADE_LOGGING_SECONDS" in line


def test_curves_are_not_waited_for_and_keep_their_order():
    own, released, seen = Line(60), threading.Event(), []
    own.tell(released.wait)
    for number in range(3):
        own.tell(lambda number=number: seen.append(number))
    assert seen == []
    released.set()
    assert own.ask(lambda: list(seen)) == [0, 1, 2]


def test_time_spent_computing_is_not_waiting(monkeypatch):
    own = Line(0.3)
    with monkeypatch.context() as busy:
        busy.setattr(time, "process_time", time.monotonic)
        assert own.ask(lambda: time.sleep(0.6)) is None
    with pytest.raises(TimeoutError, match="no answer within"):
        own.ask(lambda: time.sleep(1))
    with pytest.raises(TimeoutError, match="no answer within"):
        own.ask(lambda: "late")


def test_what_a_call_raises_is_raised_here():
    own = Line(60)
    with pytest.raises(TimeoutError, match="its own"):
        own.ask(lambda: (_ for _ in ()).throw(TimeoutError("its own")))
    own.tell(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        own.ask(lambda: None)
    assert own.ask(lambda: own.ask(lambda: 7)) == 7  # a call within a call


ABANDONS = """
import sys
import numpy as np, scipy.fft
from brats_cascade.leaving import leaving
from brats_cascade.tracking.waiting import Line

def compute():
    while True:
        scipy.fft.fft(np.ones(2**18))

with leaving():
    try:
        Line(0.3).ask(compute)
    except TimeoutError:
        print("left", flush=True)
    exec(sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize(("ends", "status"), [("", 0), ("sys.exit(3)", 3), ("sys.exit('error: x')", 1), ("1 / 0", 1)])
def test_a_call_that_is_left_behind_while_it_computes_does_not_abort_the_process(ends, status):
    done = subprocess.run([sys.executable, "-c", ABANDONS, ends], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (status, "left\n")
    assert "terminate" not in done.stderr and done.stderr.count("error: x") == ("error" in ends)
    assert done.stderr.count("ZeroDivisionError") == ("/" in ends)


def test_a_sweep_has_the_limit_for_every_trial(monkeypatch):
    first = line()
    with pytest.raises(TimeoutError):
        first.ask(lambda: time.sleep(3))
    renew()
    assert line() is not first and line().ask(lambda: 1) == 1
    monkeypatch.setenv(SECONDS, "soon")
    monkeypatch.setattr(waiting, "_line", None)
    with pytest.raises(UserError, match=f"{SECONDS}: expected a number of seconds, found 'soon'"):
        line()
