"""What MLflow's pages open on: a shared view of the runs' table, kept with the experiment, and its address."""

import base64
import json
import zlib
from pathlib import Path

KEY = "brats-cascade"
TAG = f"mlflow.sharedViewState.{KEY}"  # MLflow's name for what its button "Share" keeps
COLUMNS = (
    "params.`architecture`",
    "params.`class_weights`",
    "params.`normalisation`",
    "metrics.`validation/dice`",
    "metrics.`test/complete/dice`",
)


def shared_view() -> str:
    """The view as MLflow's pages keep it: columns, and the best on validation on top."""
    state = {
        "searchFilter": "",
        "orderByKey": "metrics.`validation/dice`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(COLUMNS),
        "columnOrder": [],
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsHiddenMode": "FIRST_20_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
    }
    return f"deflate;{base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()}"


def link(root: Path | None = None, *, server: str = "http://127.0.0.1:5000") -> str:
    """Address of the runs' table with the shared view; the experiment is made where there is none yet.

    Args:
        root: The project's folder.
        server: Where `mlflow ui` answers.
    """
    from brats_cascade.tracking.store import open_store

    _, experiment = open_store(root)
    return f"{server}/#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={KEY}"
