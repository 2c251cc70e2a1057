"""Logs the state of the machine during a run (CPU, memory, disk, network, GPUs) as the run's `system/...` metrics.

MLflow's monitors read the values. They are sent to the store like curves, without waiting, because MLflow's own thread
waits for the store at every reading and at its end.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator

from brats_cascade.errors import one_line
from brats_cascade.tracking.quiet import ask
from brats_cascade.tracking.run import Run

# MLflow's variables: "false" disables this; seconds between two readings.
ENABLED, INTERVAL = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
EVERY = 10.0

log = logging.getLogger(__name__)


@contextlib.contextmanager
def watching(run: Run) -> Iterator[None]:
    """Logs the state of the machine during the block: every 10 s and at the end, by the seconds of the run."""
    began = None
    if run.online and os.environ.get(ENABLED, "true").lower() in ("true", "1"):
        began = ask(lambda: run.client.get_run(run.id).info.start_time / 1000, report=run.go_offline)
    if began is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(run, began, over), name="system", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=2)  # it reads only the machine, never the store


def _watch(run: Run, began: float, over: threading.Event) -> None:
    try:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        logging.getLogger(SystemMetricsMonitor.__module__).setLevel(logging.WARNING)  # it reports missing GPUs
        # Those of the GPUs are among them where there are some (NVIDIA's with `nvidia-ml-py`).
        monitors = list(SystemMetricsMonitor(run.id, tracking_uri=run.uri).monitors)
        every = float(os.environ.get(INTERVAL) or EVERY)
        for monitor in monitors:
            monitor.collect_metrics()  # the first CPU reading covers no time
            monitor.clear_metrics()
        while run.online:
            over.wait(every)
            step = int(time.time() - began)
            found: dict[str, float] = {}
            for monitor in monitors:
                monitor.collect_metrics()
                found |= monitor.aggregate_metrics()
                monitor.clear_metrics()
            run.log_later([(f"system/{name}", value, step) for name, value in found.items()])
            if over.is_set():
                return
    except Exception as error:  # missing values of a machine must not end the training
        log.warning("the state of the machine is not logged (%s: %s)", type(error).__name__, one_line(error))
