"""How busy the machine is while a run computes: processor, memory, disk, network and GPUs, as the run's `system/...`.

MLflow's own monitors read the numbers; they go to the store as curves do, without waiting, because MLflow's own thread waits
for the store at every reading and when it ends.
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

# MLflow's own variables: "false" switches this off; seconds between two readings.
ENABLED, INTERVAL = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
EVERY = 10.0

log = logging.getLogger(__name__)


@contextlib.contextmanager
def watching(run: Run) -> Iterator[None]:
    """Logs the state of the machine while what is inside runs: every 10 s and at the end, by the seconds of the run."""
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
        thread.join(timeout=2)  # it asks the machine alone, never the store


def _watch(run: Run, began: float, over: threading.Event) -> None:
    try:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        # Those of the GPUs are among them where there are some (NVIDIA's with `nvidia-ml-py`).
        monitors = list(SystemMetricsMonitor(run.id, tracking_uri=run.uri).monitors)
        every = float(os.environ.get(INTERVAL) or EVERY)
        for monitor in monitors:
            monitor.collect_metrics()  # the first share of the processor is of no time at all
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
    except Exception as error:  # of whatever a machine does not tell: it must not end the training
        log.warning("the state of the machine is not logged (%s: %s)", type(error).__name__, one_line(error))
