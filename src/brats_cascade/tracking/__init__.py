"""The only part that talks to MLflow.

Everything logged here lies in files already (models/, metrics/, reports/), so a tracking server that cannot be reached
costs nothing but the entry: the first failed call is reported on one line, the run goes quiet, and work goes on.

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
from typing import Any

from brats_cascade.tracking.champion import DVC_EXPERIMENT
from brats_cascade.tracking.model import load_model, model_metadata
from brats_cascade.tracking.quiet import is_store_failure, store_may_fail
from brats_cascade.tracking.run import Run
from brats_cascade.tracking.sigterm import heeding_sigterm
from brats_cascade.tracking.store import EXPERIMENT, open_store, project_root, tracking_uri

__all__ = [
    "EXPERIMENT",
    "TAGS",
    "Run",
    "load_model",
    "model_metadata",
    "project_root",
    "resume_run",
    "start_run",
    "tracking_uri",
]

# Facts of a training (`costs.read_facts`) that are a run's tags, to search by.
TAGS = (
    "experiment", "architecture", "builds_on", "normalisation", "class_weights", "procedure", "release", "fold", "seed",
    "git_commit",
)  # fmt: skip

# Tags that are parameters, too: MLflow's compare page draws the first three, by the alphabet, in which its runs differ.
COMPARED = ("architecture", "class_weights", "normalisation", "procedure")

# Tag of a run that took the place of one that is gone: that one's id.
REPLACES = "replaces"

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

    Yields:
        The run.
    """
    run = _create(name, tags=tags, params=params, root=root, seconds=seconds)
    with _closing(run, finish=finish, seconds=seconds):
        yield run


@contextlib.contextmanager
def resume_run(
    run_id: str,
    *,
    name: str,
    tags: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    root: Path | None = None,
    finish: bool = True,
    reopen: bool = True,
    seconds: float | None = None,
) -> Iterator[Run]:
    """Opens an earlier run again and finishes it at the end.

    Args:
        run_id: Its id; "" if the store could not be reached.
        name: Name of the new run that takes its place if the store has no such run.
        tags: Tags of that new run.
        params: Parameters of that new run.
        root: The project's folder.
        finish: As in `start_run`.
        reopen: Set it to running meanwhile; otherwise a run that has ended keeps its state and its duration.
        seconds: How long what a new run tells of took.

    Yields:
        The run; `run.reopened` says that it is a new one.
    """
    run = _find(run_id, root=root, reopen=reopen) or _find_replacement(run_id, root=root, reopen=reopen)
    if run is not None and not reopen:
        yield run
        return
    if run is not None and os.environ.get("DVC_EXP_NAME"):  # a rerun after a kill is another experiment of DVC's
        made = os.environ["DVC_EXP_NAME"]
        run.log_tags({DVC_EXPERIMENT: made, "mlflow.runName": f"{name} [{made}]"})
    if run is None:
        log.info("%s: MLflow at %s has no run %r; opening a new one", name, tracking_uri(root), run_id)
        run = _create(name, tags={**(tags or {}), REPLACES: run_id}, params=params, root=root, seconds=seconds)
        run.reopened = True
    with _closing(run, finish=finish or (run.reopened and not reopen), seconds=seconds):
        yield run


def _create(
    name: str,
    *,
    tags: Mapping[str, Any] | None,
    params: Mapping[str, Any] | None,
    root: Path | None,
    seconds: float | None = None,
) -> Run:
    uri = tracking_uri(root)
    run = Run("", client=None, uri=uri)
    own = {"mlflow.source.type": "LOCAL", "mlflow.source.name": Path(sys.argv[0]).name}
    own |= {key: str(value) for key, value in (tags or {}).items()}
    if "git_commit" in own:
        own["mlflow.source.git.commit"] = own["git_commit"]
    experiment_of_dvc = os.environ.get("DVC_EXP_NAME")
    if experiment_of_dvc:
        own[DVC_EXPERIMENT] = experiment_of_dvc
        name = f"{name} [{experiment_of_dvc}]"
    try:
        client, experiment = open_store(root)
        started = int((time.time() - (seconds or 0)) * 1000)
        run_id = client.create_run(experiment, start_time=started, tags=own, run_name=name).info.run_id
    except Exception as error:
        if not is_store_failure(error):
            raise
        run.go_offline(error)
        return run
    run = Run(run_id, client=client, uri=uri)
    run.log_params({key: own[key] for key in COMPARED if key in own} | dict(params or {}))
    return run


def _find(run_id: str, *, root: Path | None, reopen: bool) -> Run | None:
    """An existing run, set to running if wanted; None if there is none; a silent one if the store cannot be reached."""
    from mlflow.exceptions import MlflowException

    uri = tracking_uri(root)
    if not run_id:
        return None
    try:
        client, _ = open_store(root)
        if client.get_run(run_id).info.lifecycle_stage == "deleted":
            return None
        if reopen:
            client.update_run(run_id, status="RUNNING")
        return Run(run_id, client=client, uri=uri)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        problem: Exception = error
    except Exception as error:
        if not is_store_failure(error):
            raise
        problem = error
    run = Run(run_id, client=None, uri=uri)
    run.go_offline(problem)
    return run


def _find_replacement(run_id: str, *, root: Path | None, reopen: bool) -> Run | None:
    """The run that was opened in the place of one that is gone, if that was done before."""
    if not run_id:
        return None
    with store_may_fail(lambda error: log.debug("no replacement of run %s could be looked for: %s", run_id, error)):
        client, experiment = open_store(root)
        runs = client.search_runs([experiment], f"tags.{REPLACES} = '{run_id}'", max_results=1)
        return _find(runs[0].info.run_id, root=root, reopen=reopen) if runs else None
    return None


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
