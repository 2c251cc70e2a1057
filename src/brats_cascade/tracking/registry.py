"""The registered model, `models:/brats-cascade@champion`: the champion's network, rule and card."""

import hashlib
import importlib
import logging
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import brats_cascade
from brats_cascade.inference.chosen import SCORES
from brats_cascade.tracking.model import requirements
from brats_cascade.tracking.quiet import store_may_fail
from brats_cascade.tracking.store import open_store, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAME, ALIAS = "brats-cascade", "champion"
CARD = "MODEL_CARD.md"
NEEDED = ("mlflow", "numpy", "scipy", "pandas", "nibabel", "SimpleITK")

log = logging.getLogger(__name__)


def register_champion(
    folder: Path, *, scores: Path, card: str, run_id: str, tags: Mapping[str, Any], root: Path | None = None
) -> str | None:
    """Registers a trained network and gives it the alias; one that is champion already is left alone.

    Args:
        folder: models/E, with model.keras and model.json.
        scores: metrics/E/summary.json; the post-processing is read from it.
        card: The model card, Markdown.
        run_id: The champion's MLflow run.
        tags: Tags of the version, to search by.
        root: The project's folder.

    Returns:
        The version, or None if MLflow cannot be reached or has no such run; that costs one line and nothing else.
    """
    with store_may_fail(_warn):
        client, _ = open_store(root)
        return _register(
            client, uri=tracking_uri(root), folder=folder, scores=scores, card=card, run_id=run_id, tags=tags
        )
    return None


def _register(
    client: "MlflowClient", *, uri: str, folder: Path, scores: Path, card: str, run_id: str, tags: Mapping[str, Any]
) -> str:
    files = sorted(folder.glob("model.*"))  # model.json and model.keras
    content = b"".join(path.read_bytes() for path in (*files, scores)) + card.encode()
    fingerprint = hashlib.sha256(content).hexdigest()
    current = _current(client)
    if current is not None and current.tags.get("fingerprint") == fingerprint:
        return str(current.version)
    with tempfile.TemporaryDirectory(prefix="brats-cascade-") as place:
        copy = Path(place) / "network"
        copy.mkdir()
        for path in files:
            shutil.copy(path, copy)
        shutil.copy(scores, copy / SCORES)
        (copy / CARD).write_text(card, encoding="utf-8")
        model_uri = _log(client, uri=uri, folder=copy, run_id=run_id)
        client.log_artifact(run_id, str(copy / CARD))
    if not client.search_registered_models(f"name = '{NAME}'"):
        client.create_registered_model(NAME, description="The experiment that did best on the validation patients.")
    made = client.create_model_version(
        NAME,
        source=model_uri,
        run_id=run_id,
        model_id=model_uri.removeprefix("models:/"),
        description=card,
        tags={"fingerprint": fingerprint, **{key: str(value) for key, value in tags.items()}},
    )
    client.set_registered_model_alias(NAME, ALIAS, made.version)
    return str(made.version)


def point_to(run_id: str, *, root: Path | None = None) -> str | None:
    """Gives the alias to the version that was registered of a run before, as by a DVC experiment.

    Args:
        run_id: The champion's MLflow run.
        root: The project's folder.

    Returns:
        The version; None if the run has none, or MLflow cannot be reached.
    """
    with store_may_fail(_warn):
        client, _ = open_store(root)
        versions = client.search_model_versions(f"name = '{NAME}' and run_id = '{run_id}'", max_results=1)
        if not versions:
            return None
        current = _current(client)
        if current is None or current.version != versions[0].version:
            client.set_registered_model_alias(NAME, ALIAS, versions[0].version)
        return str(versions[0].version)
    return None


def alias_run(root: Path) -> str:
    """The run whose network has the alias champion; "" where there is none, or MLflow cannot be reached."""
    with store_may_fail():
        version = _current(open_store(root)[0])
        return str(version.run_id) if version is not None else ""
    return ""


def _warn(error: Exception) -> None:
    reason = " ".join(str(error).split())[:200]
    log.warning("the champion could not be set in MLflow (%s: %s)", type(error).__name__, reason)


def _current(client: "MlflowClient") -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(NAME, ALIAS)
    except MlflowException:
        return None


def _log(client: "MlflowClient", *, uri: str, folder: Path, run_id: str) -> str:
    """Logs the folder as a pyfunc model of the run; its code is serving.py, by file, so nothing is pickled.

    The project's own code goes along, so that the model opens wherever its requirements are installed.
    """
    import mlflow
    import numpy as np
    import pandas as pd
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    def nested(inner: Any, depth: int) -> Any:
        return Array(nested(inner, depth - 1)) if depth else inner

    signature = ModelSignature(
        inputs=Schema(
            [
                ColSpec(DataType.string, name="case", required=False),
                ColSpec(nested(DataType.double, 4), name="image", required=False),
            ]
        ),
        outputs=Schema(
            [
                ColSpec(DataType.string, name="case"),
                ColSpec(DataType.string, name="segmentation"),
                ColSpec(nested(DataType.long, 3), name="labels", required=False),
            ]
        ),
    )
    small = np.zeros((3, 6, 6, 4))
    small[:, 1:5, 1:5] = np.random.default_rng(0).integers(50, 900, (3, 4, 4, 4))
    run = client.get_run(run_id)
    place = client.create_logged_model(run.info.experiment_id, name="champion", source_run_id=run_id)
    mlflow.set_tracking_uri(uri)  # Model.log knows no client
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of MLflow's own type hints
        info = Model.log(
            artifact_path=None,
            model_id=place.model_id,
            flavor=importlib.import_module("mlflow.pyfunc"),
            run_id=run_id,
            python_model=str(Path(__file__).with_name("serving.py")),
            artifacts={"model": str(folder)},
            code_paths=[str(Path(brats_cascade.__file__).parent)],
            signature=signature,
            input_example=pd.DataFrame({"image": [small.tolist()]}),
            pip_requirements=requirements(*NEEDED),
        )
    return str(info.model_uri)
