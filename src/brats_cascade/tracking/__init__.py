"""The only part that talks to MLflow.

Everything logged here lies in files already (models/, metrics/, reports/), so a tracking server that cannot be reached
costs nothing but the entry: the first failed call is reported on one line, the run goes quiet, and work goes on. A stage
waits 20 s in all for the store (BRATS_CASCADE_LOGGING_SECONDS, if set), and not at all for curves while it trains.

Runs go to MLflow's own default store, `mlflow.db` and `mlruns/` in the project's root, so a bare `mlflow ui` there
shows them; also from DVC's temporary folders, which name the root in DVC_ROOT. MLFLOW_TRACKING_URI, if set, goes first.
"""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade.tracking.champion import DVC_EXPERIMENT
from brats_cascade.tracking.owner import end_lost, owner_tags
from brats_cascade.tracking.quiet import ask
from brats_cascade.tracking.run import Run
from brats_cascade.tracking.sigterm import heeding_sigterm
from brats_cascade.tracking.store import open_store, prepare_store, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Facts of a training (`costs.read_facts`) that are a run's tags, to search by.
TAGS = (
    "experiment", "architecture", "builds_on", "normalisation", "class_weights", "procedure", "release", "fold", "seed",
    "git_commit",
)  # fmt: skip
# Tags that are parameters, too: MLflow's compare page draws the first three, by the alphabet, in which its runs differ.
COMPARED = ("architecture", "class_weights", "normalisation", "procedure")
# Tag of a run that took the place of one that is gone: that one's id.
REPLACES = "replaces"
# MLflow's own tag of a run below another one.
PARENT = "mlflow.parentRunId"

log = logging.getLogger(__name__)


@contextlib.contextmanager
def start_run(
    name: str,
    *,
    tags: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    root: Path | None = None,
    finish: bool = False,
    seconds: float | None = None,
) -> Iterator[Run]:
    """Opens a new run; an exception inside marks it failed, Ctrl-C and SIGTERM mark it killed.

    Args:
        name: The run's name, such as the experiment's.
        tags: Plain values to search by; `git_commit` also fills MLflow's own version column.
        params: Flat parameters.
        root: The project's folder.
        finish: Mark it finished at the end; otherwise that is left to `Run.finish`.
        seconds: How long what it tells of took, if that is over; the run's duration.
    """
    own = {"mlflow.source.type": "LOCAL", "mlflow.source.name": Path(sys.argv[0]).name}
    own |= {key: str(value) for key, value in (tags or {}).items()}
    if "git_commit" in own:
        own["mlflow.source.git.commit"] = own["git_commit"]
    own |= owner_tags() | (dvc := _dvc_tags(name))
    run = Run("", uri=tracking_uri(root))
    started = int((time.time() - (seconds or 0)) * 1000)

    def create() -> "tuple[str, MlflowClient]":
        client, experiment = open_store(root)
        end_lost(client, experiment=experiment)
        made = client.create_run(experiment, start_time=started, tags=own, run_name=dvc.get("mlflow.runName", name))
        return made.info.run_id, client

    prepare_store(root)
    if made := ask(create, report=run.go_offline):
        run.connect(made[0], client=made[1])
    run.log_params({key: own[key] for key in COMPARED if key in own} | dict(params or {}))
    with _closing(run, finish=finish, seconds=seconds):
        yield run


@contextlib.contextmanager
def resume_run(
    run_id: str, *, name: str, finish: bool = True, reopen: bool = True, root: Path | None = None, **settings: Any
) -> Iterator[Run]:
    """Opens an earlier run again and finishes it at the end.

    Args:
        run_id: Its id; "" if the store could not be reached.
        name: Name of the new run that takes its place if the store has no such run; `run.reopened` says so.
        finish: As in `start_run`.
        reopen: Set it to running meanwhile; otherwise a run that has ended keeps its state and its duration.
        root: The project's folder.
        **settings: Of that new run, as in `start_run`.
    """
    run = _find(run_id, root=root, reopen=reopen)
    if run is None:
        log.info("%s: MLflow at %s has no run %r; opening a new one", name, tracking_uri(root), run_id)
        settings["tags"] = {**(settings.get("tags") or {}), REPLACES: run_id}
        with start_run(name, root=root, finish=finish or not reopen, **settings) as run:
            run.reopened = True
            yield run
    elif not reopen:
        yield run
        run.settle()
    else:
        run.log_tags(owner_tags() | _dvc_tags(name))  # a rerun after a kill is another experiment of DVC's
        run.log_params(settings.get("params") or {})
        with _closing(run, finish=finish):
            yield run


def _dvc_tags(name: str) -> dict[str, str]:
    """Tags of a run that is made by an experiment of DVC's: its name, also behind the run's own."""
    made = os.environ.get("DVC_EXP_NAME")
    return {DVC_EXPERIMENT: made, "mlflow.runName": f"{name} [{made}]"} if made else {}


def _find(run_id: str, *, root: Path | None, reopen: bool) -> Run | None:
    """An earlier run, or the one opened in its place; None if there is neither; a silent one if the store is away."""
    if not run_id:
        return None
    run = Run(run_id, uri=tracking_uri(root))

    def find() -> "tuple[str, MlflowClient]":
        client, experiment = open_store(root)
        for wanted in (f"attributes.run_id = '{run_id}'", f"tags.{REPLACES} = '{run_id}'"):
            for found in client.search_runs([experiment], wanted, max_results=1):
                if reopen:
                    client.update_run(found.info.run_id, status="RUNNING")
                return found.info.run_id, client
        return "", client

    prepare_store(root)
    if found := ask(find, report=run.go_offline):
        if not found[0]:
            return None
        run.connect(found[0], client=found[1], new=False)
    return run


@contextlib.contextmanager
def _closing(run: Run, *, finish: bool, seconds: float | None = None) -> Iterator[None]:
    try:
        with heeding_sigterm():
            yield
    except (KeyboardInterrupt, SystemExit):
        run.finish(status="KILLED")
        raise
    except BaseException:
        run.finish(status="FAILED")
        raise
    if finish:
        run.finish(seconds=seconds)
    run.settle()
