"""The only package that talks to MLflow.

Everything that is logged here is in files first (models/, metrics/, reports/), so an unreachable tracking server costs only
the log entry: the first failed call is reported on one line, the run goes offline, and work continues. A stage waits at most
20 s in total for the store (BRATS_CASCADE_LOGGING_SECONDS, if set), and not at all for curves during training.

Runs go to MLflow's default store, `mlflow.db` and `mlruns/` in the project's root, where a plain `mlflow ui` shows them; this
includes runs from DVC's temporary folders, for which DVC_ROOT names the root. MLFLOW_TRACKING_URI, if set, overrides this.
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
from brats_cascade.tracking.owner import end_lost, heeding_sigterm, owner_tags
from brats_cascade.tracking.run import Run
from brats_cascade.tracking.store import ask_store, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Facts of a training (`costs.read_facts`) that become tags, for searching.
TAGS = (
    "experiment", "architecture", "builds_on", "normalisation", "class_weights", "procedure", "release", "fold", "seed",
    "git_commit",
)  # fmt: skip
# Tags that are also parameters: MLflow's compare page draws the first three, alphabetically, in which runs differ.
COMPARED = ("architecture", "class_weights", "normalisation", "procedure")
# Tag of a run that replaces a deleted one: the id of that run.
REPLACES = "replaces"
# MLflow's tag for a child run.
PARENT = "mlflow.parentRunId"

log = logging.getLogger(__name__)


@contextlib.contextmanager
def start_run(
    name: str,
    *,
    run_id: str = "",
    tags: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    root: Path | None = None,
    finish: bool = False,
    reopen: bool = True,
    seconds: float | None = None,
) -> Iterator[Run]:
    """Opens a run; an exception inside marks it failed, Ctrl-C and SIGTERM mark it killed.

    Args:
        name: The run's name, such as the experiment's.
        run_id: Id of an earlier run to resume; if the store does not have it, a new run replaces it. "" for a new run.
        tags: Plain values for searching; `git_commit` also fills MLflow's version column.
        params: Flat parameters.
        root: The project's folder.
        finish: Mark the run finished at the end; otherwise `Run.finish` does this.
        reopen: Set an earlier run to running meanwhile; otherwise its state and duration are kept.
        seconds: Duration of a new run that describes finished work.
    """
    own = {key: str(value) for key, value in (tags or {}).items()}
    run = _find(run_id, root=root, reopen=reopen) if run_id else None
    if run is None:
        if run_id:
            log.info("%s: MLflow at %s has no run %r; opening a new one", name, tracking_uri(root), run_id)
            own[REPLACES] = run_id
        run, finish = _create(name, tags=own, root=root, seconds=seconds), finish or not reopen
        params = {key: own[key] for key in COMPARED if key in own} | dict(params or {})
    elif not reopen:
        yield run
        run.settle()
        return
    else:
        run.log_tags(owner_tags() | _dvc_tags(name))  # a rerun after a kill is a new DVC experiment
    run.log_params(params or {})
    with _closing(run, finish=finish, seconds=seconds):
        yield run


def _create(name: str, *, tags: Mapping[str, str], root: Path | None, seconds: float | None) -> Run:
    """Creates a run that began a number of seconds ago; an offline one if the store cannot be reached."""
    own = {"mlflow.source.type": "LOCAL", "mlflow.source.name": Path(sys.argv[0]).name, **tags}
    if "git_commit" in own:
        own["mlflow.source.git.commit"] = own["git_commit"]
    own |= owner_tags() | (dvc := _dvc_tags(name))
    run, started = Run("", uri=tracking_uri(root)), int((time.time() - (seconds or 0)) * 1000)

    def create(client: "MlflowClient", experiment: str) -> "tuple[str, MlflowClient]":
        end_lost(client, experiment=experiment)
        made = client.create_run(experiment, start_time=started, tags=own, run_name=dvc.get("mlflow.runName", name))
        return made.info.run_id, client

    if made := ask_store(create, root=root, report=run.go_offline):
        run.connect(made[0], client=made[1])
    return run


def _dvc_tags(name: str) -> dict[str, str]:
    """The tags of a run made by a DVC experiment, whose name also follows the run's name."""
    made = os.environ.get("DVC_EXP_NAME")
    return {DVC_EXPERIMENT: made, "mlflow.runName": f"{name} [{made}]"} if made else {}


def _find(run_id: str, *, root: Path | None, reopen: bool) -> Run | None:
    """An earlier run, or the one that replaced it; None if there is neither; an offline one if the store cannot be reached."""
    run = Run(run_id, uri=tracking_uri(root))

    def find(client: "MlflowClient", experiment: str) -> "tuple[str, MlflowClient]":
        for wanted in (f"attributes.run_id = '{run_id}'", f"tags.{REPLACES} = '{run_id}'"):
            for found in client.search_runs([experiment], wanted, max_results=1):
                if reopen:
                    client.update_run(found.info.run_id, status="RUNNING")
                return found.info.run_id, client
        return "", client

    if found := ask_store(find, root=root, report=run.go_offline):
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
