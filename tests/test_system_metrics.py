"""The state of the machine while a run computes, logged without anybody waiting for it."""

import logging
import threading
import time

import pytest
from mlflow.system_metrics import system_metrics_monitor

from brats_cascade import tracking
from brats_cascade.tracking.system import ENABLED, INTERVAL, watching

DISK = "system/disk_usage_percentage"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A database for all: making its tables takes seconds."""
    return tmp_path_factory.mktemp("store") / "mlflow.db"


@pytest.fixture
def project(tmp_path, store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    for name in ("DVC_ROOT", ENABLED):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def seen(run):
    """The state of the machine that a run holds: metric -> its steps."""
    names = [name for name in run.client.get_run(run.id).data.metrics if name.startswith("system/")]
    return {name: [point.step for point in run.client.get_metric_history(run.id, name)] for name in names}


def until(run, *, more_than):
    """What a run holds, once it has more than so many readings."""
    end = time.monotonic() + 120  # a busy machine takes its time
    while len(seen(run).get(DISK, ())) <= more_than and time.monotonic() < end:
        time.sleep(0.05)
    assert len(seen(run)[DISK]) > more_than
    return seen(run)


@pytest.mark.slow
def test_a_run_holds_the_state_of_the_machine_and_goes_on_with_it(project, monkeypatch):
    monkeypatch.setenv(INTERVAL, "0.05")
    with tracking.start_run("E", root=project) as run, watching(run):
        first = until(run, more_than=1)
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= set(first)
    with tracking.start_run("E", run_id=run.id, finish=True, root=project) as again, watching(again):
        steps = until(run, more_than=len(first[DISK]) + 1)[DISK]
    assert steps == sorted(steps) and all(0 <= step < 600 for step in steps)  # seconds of the run
    monkeypatch.setenv(ENABLED, "false")
    with tracking.start_run("without", root=project) as quiet, watching(quiet):
        pass
    assert seen(quiet) == {}


def test_a_machine_that_tells_nothing_costs_one_line(project, monkeypatch, caplog):
    monkeypatch.setattr(system_metrics_monitor, "SystemMetricsMonitor", lambda *args, **settings: 1 / 0)
    with (
        caplog.at_level(logging.WARNING),
        tracking.start_run("E", root=project, finish=True) as run,
        watching(run),
    ):
        for thread in threading.enumerate():
            if thread.name == "system":
                thread.join()
    assert [record.getMessage() for record in caplog.records if "the state of the machine" in record.getMessage()]
    assert run.online and run.client.get_run(run.id).info.status == "FINISHED"


def test_a_store_that_is_away_is_not_asked(project):
    run = tracking.Run("x", uri="http://127.0.0.1:9")
    with watching(run):
        pass
    assert not run.online
