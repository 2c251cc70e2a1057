"""The location of the runs, and how several processes share a new store."""

import base64
import contextlib
import json
import logging
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from brats_cascade.shared import turn
from brats_cascade.tracking.moved import EXPERIMENT, LOCK, follow
from brats_cascade.tracking.quiet import ask, store_may_fail

# MLflow reads these on import, which happens inside the functions of this package.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
# Detect an unreachable server within seconds; by default MLflow retries for several minutes per call.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# These loggers also log tracebacks of errors that they raise, which a run reports on one line.
for _name in ("mlflow.store.db.utils", "sqlalchemy.pool"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

if TYPE_CHECKING:
    from mlflow import MlflowClient

Answer = TypeVar("Answer")
KEY = "brats-cascade"  # name of the shared view
TAG = f"mlflow.sharedViewState.{KEY}"  # tag in which MLflow's "Share" button stores a view
# Columns of the runs table on MLflow's pages.
COLUMNS = [
    *(f"params.`{name}`" for name in ("architecture", "class_weights", "normalisation")),
    *(f"metrics.`{name}`" for name in ("validation/dice", "test/complete/dice")),
]
# The first opens MLflow's pages for training runs instead of those for language models; the second is shown on top.
ABOUT = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": (
        "One run per training; its first evaluation is logged to it, any further one to a child run. Sort or compare by "
        "`validation/dice` (which chooses the champion) and `test/complete/dice`. Charts: `phase1/...`, `phase2/...` over the "
        "steps; `slice_complete_f1/CASE` over the slices (step = slice). The numbers are those of metrics/*/summary.json. "
        "Research software: not a medical device."
    ),
}


def project_root(root: Path | None = None) -> Path:
    """The folder of mlflow.db: DVC's repository inside a stage, otherwise the given or the current folder."""
    return Path(os.environ.get("DVC_ROOT") or root or Path.cwd()).resolve()


def tracking_uri(root: Path | None = None) -> str:
    """The address for the runs of a project's folder, or MLFLOW_TRACKING_URI, whose relative database is in the project."""
    given, path = os.environ.get("MLFLOW_TRACKING_URI", ""), _database(root)
    return given if path is None or given.startswith("sqlite:////") else f"sqlite:///{_written(path)}"


def opened_uri(root: Path | None = None) -> str:
    """`tracking_uri`, after updating the project's own database if the project was moved."""
    if own_database(root):
        follow(_own(root))
    return tracking_uri(root)


def own_database(root: Path | None = None) -> bool:
    """Whether runs go to the project's own mlflow.db, and not to a server or another database."""
    path = _database(root)
    return path is not None and path.resolve() == _own(root).resolve()


def _database(root: Path | None) -> Path | None:
    """The database file for runs; None if they go to a server."""
    from urllib.parse import unquote

    given = os.environ.get("MLFLOW_TRACKING_URI", "")  # MLflow sets it after logging a model, to what it was given
    if given in ("", f"sqlite:///{_written(_own(root))}"):  # which may be relative to the working folder
        return _own(root)
    return project_root(root) / unquote(given.removeprefix("sqlite:///")) if given.startswith("sqlite:///") else None


def _own(root: Path | None) -> Path:
    return project_root(root) / "mlflow.db"


def _written(path: Path) -> str:
    """The path in the form that SQLAlchemy expects in a URL: %20 would be decoded, and a question mark would end it."""
    from urllib.parse import quote

    text = str(path)
    if not set("%?") & set(text):
        return text
    short = os.path.relpath(path)  # relative to a folder of the project
    return short if not set("%?") & set(short) else quote(text)


def ask_store(
    call: "Callable[[MlflowClient, str], Answer]",
    *,
    root: Path | None,
    otherwise: Any = None,
    report: Callable[[Exception], None] | None = None,
) -> Answer | Any:
    """The result of a call that gets the client and the experiment's id, within the time limit of `ask`."""
    _prepare(root)
    return ask(lambda: call(*open_store(root)), otherwise=otherwise, report=report)


def _prepare(root: Path | None) -> None:
    """Creates a database file if there is none. This takes seconds of computing, which do not count as waiting for a store."""
    import mlflow  # noqa: F401 - likewise

    path = _database(root)
    if path is None:
        return
    with store_may_fail():  # errors are reported where the store is used
        with turn(project_root(root) / LOCK) if own_database(root) else contextlib.nullcontext():
            there = path.is_file()  # another process may have created it
        if not there:
            open_store(root)


def open_store(root: Path | None) -> tuple["MlflowClient", str]:
    """The client and the experiment's id; a new local database is created by one process at a time."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri, folder, local = opened_uri(root), project_root(root), own_database(root)
    with turn(folder / LOCK) if local else contextlib.nullcontext():
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is not None:
            if experiment.lifecycle_stage == "deleted":
                cure = f"`mlflow experiments restore -x {experiment.experiment_id}` brings it back"
                raise MlflowException(f"the experiment {EXPERIMENT} was deleted; {cure}")
            if experiment.tags.get(TAG) != shared_view():
                client.set_experiment_tag(experiment.experiment_id, TAG, shared_view())
            return client, experiment.experiment_id
        place = (folder / "mlruns" / EXPERIMENT).as_uri() if local else None
        return client, client.create_experiment(EXPERIMENT, artifact_location=place, tags={**ABOUT, TAG: shared_view()})


def shared_view() -> str:
    """The view with which MLflow's pages open, as stored with the experiment: its columns, the best on validation first."""
    state = {
        "searchFilter": "",
        "orderByKey": "metrics.`validation/dice`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": COLUMNS,
        "columnOrder": [],
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "FIRST_20_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
    }
    return f"deflate;{base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()}"


def link(root: Path | None = None) -> str:
    """The address of the runs table with the shared view; the experiment is created if it does not exist."""
    return str(ask_store(lambda _, experiment: runs_page(experiment), root=root, otherwise=runs_page()))


def runs_page(experiment: str = "1") -> str:
    """Address of an experiment's runs on the server that they go to or, from a database, as `make ui` serves them.

    1 is the project's own experiment in its own database; the port is MLFLOW_PORT, which MLflow reads, too.
    """
    server = urlsplit(os.environ.get("MLFLOW_TRACKING_URI", ""))
    place = f"http://127.0.0.1:{os.environ.get('MLFLOW_PORT') or 5000}"
    if server.scheme in ("http", "https"):
        place = f"{server.scheme}://{server.netloc.rpartition('@')[2]}{server.path.rstrip('/')}"  # without a password
    return f"{place}/#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={KEY}"
