"""Links a run to its process: SIGTERM closes the run, and the next process that opens a run ends those of killed processes."""

import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from brats_cascade.orphans import process_name, still_runs

if TYPE_CHECKING:
    from mlflow import MlflowClient

HOST, PROCESS = "host", "process"  # tags of a run of a run
STATE = "state"  # tag of a trial


def owner_tags() -> dict[str, str]:
    """Tags that identify this process."""
    return {HOST: socket.gethostname(), PROCESS: process_name()}


def end_lost(client: "MlflowClient", *, experiment: str) -> None:
    """Marks the runs of this host whose process is gone as KILLED; rerunning such a training resumes its run."""
    mine = f"attributes.status = 'RUNNING' and tags.{HOST} = '{socket.gethostname()}'"
    for run in client.search_runs([experiment], mine):
        if not still_runs(run.data.tags.get(PROCESS, "")):
            if run.data.tags.get(STATE) == "running":
                client.set_tag(run.info.run_id, STATE, "lost")
            client.set_terminated(run.info.run_id, "KILLED")


@contextlib.contextmanager
def heeding_sigterm() -> Iterator[None]:
    """Makes SIGTERM end the process like Ctrl-C, through the code that closes the run; exit status 143."""
    heeded = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if not heeded:
        yield
        return

    def end(number: int, _: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # already ending
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
