"""What MLflow's pages open on: a shared view of the runs' table, kept with the experiment."""

import base64
import json
import zlib

KEY = "brats-cascade"
TAG = f"mlflow.sharedViewState.{KEY}"  # MLflow's name for what its button "Share" keeps
COLUMNS = [
    *(f"params.`{name}`" for name in ("architecture", "class_weights", "normalisation")),
    *(f"metrics.`{name}`" for name in ("validation/dice", "test/complete/dice")),
]


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
