"""Which process a run belongs to. A run whose process was killed cannot say so: the next process that opens one ends it."""

import os
import socket
from typing import TYPE_CHECKING

from brats_cascade.orphans import is_alive

if TYPE_CHECKING:
    from mlflow import MlflowClient

HOST, PROCESS = "host", "process"  # tags
STATE = "state"  # tag of a sweep's trial


def owner_tags() -> dict[str, str]:
    """Tags that name this process: its host, its number, and when it began, for numbers are given again."""
    import psutil

    return {HOST: socket.gethostname(), PROCESS: f"{os.getpid()} {psutil.Process().create_time():.0f}"}


def end_lost(client: "MlflowClient", *, experiment: str) -> None:
    """Ends the runs of this host whose process is gone as KILLED; a rerun of such a training goes on in its run."""
    mine = f"attributes.status = 'RUNNING' and tags.{HOST} = '{socket.gethostname()}'"
    for run in client.search_runs([experiment], mine):
        if not _alive(run.data.tags.get(PROCESS, "")):
            if run.data.tags.get(STATE) == "running":
                client.set_tag(run.info.run_id, STATE, "lost")
            client.set_terminated(run.info.run_id, "KILLED")


def _alive(owner: str) -> bool:
    import psutil

    number, _, began = owner.partition(" ")
    try:
        process = psutil.Process(int(number))
        return is_alive(process) and abs(process.create_time() - float(began)) < 5  # seconds: clocks are set
    except (psutil.Error, ValueError):
        return False
