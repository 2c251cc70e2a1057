"""Where runs go, and how two processes that start at once share a new store."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Read by MLflow when it is imported, which this package does inside its functions.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
# A server that is away is noticed in seconds; MLflow's own patience is several minutes a call.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "brats-cascade"
# The first opens MLflow's pages for training runs instead of those for language models; the second is shown on top.
ABOUT = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": (
        "One run per experiment of params.yaml, opened by training and finished by evaluation. Sort or compare by "
        "`validation/dice` (which chooses the champion) and `test/complete/dice`. Charts: `phase1/...`, `phase2/...` over the "
        "steps; `slice_complete_f1/CASE` over the slices (step = slice); `class_weights/mean` over the labels "
        "(step = label). The numbers are those of metrics/*/summary.json. Research software: not a medical device."
    ),
}


def project_root(root: Path | None = None) -> Path:
    """Finds the folder of mlflow.db: DVC's repository inside a stage, otherwise the one given or the current."""
    return Path(os.environ.get("DVC_ROOT") or root or Path.cwd()).resolve()


def tracking_uri(root: Path | None = None) -> str:
    """Says where runs go.

    Args:
        root: The project's folder; DVC_ROOT goes first, MLFLOW_TRACKING_URI before both.

    Returns:
        An MLflow tracking URI.
    """
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{project_root(root) / 'mlflow.db'}"


def open_store(root: Path | None) -> tuple["MlflowClient", str]:
    """The client and the experiment's id; a new local database is made by one process at a time."""
    from mlflow import MlflowClient

    uri, folder = tracking_uri(root), project_root(root)
    local = not os.environ.get("MLFLOW_TRACKING_URI")
    with _lock(folder / "mlruns") if local else contextlib.nullcontext():
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is not None:
            return client, experiment.experiment_id
        place = (folder / "mlruns" / EXPERIMENT).as_uri() if local else None
        return client, client.create_experiment(EXPERIMENT, artifact_location=place, tags=ABOUT)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Waits for its turn; on systems without file locks it does not."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
