"""Networks in MLflow: logged with a signature, in a form that opens without this project, and fetched by URI."""

import contextlib
import importlib
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade.backend import check_backend
from brats_cascade.errors import UserError
from brats_cascade.tracking.store import opened_uri, tracking_uri

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient

NETWORK_FOLDER = "network"  # folder in a logged model: the files of models/EXPERIMENT
NEEDS = "pip install brats-cascade from its checkout, then import brats_cascade.models.build before loading"


def log_network(
    model: "keras.Model", *, run_id: str, client: "MlflowClient", uri: str, metadata: Mapping[str, Any], folder: Path
) -> str:
    """Logs a network to a run, with a signature whose batch, rows and columns are free.

    It is logged twice: as TensorFlow's SavedModel, which MLflow opens where this project is not installed, and in
    `network/` as training wrote it, for this project. JAX cannot write a SavedModel of a cascade (its windows may have any
    size), nor can MLflow for a network with several inputs; then a Keras file is logged, and a tag says how to open it.

    Inputs and outputs are (batch, rows, columns, channels), one of each or several. `client` is that of the store at `uri`,
    `metadata` plain values kept with the model; `folder` is models/E, whose model.keras and model.json are logged, too.

    Returns:
        The model's URI, `models:/m-...`.
    """
    import keras
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def schema(tensors: Sequence[Any]) -> Schema:
        named = [tensor.name if len(tensors) > 1 else None for tensor in tensors]
        shapes = [(-1, -1, -1, tensor.shape[-1]) for tensor in tensors]
        return Schema([TensorSpec(np.dtype(np.float32), *given) for given in zip(shapes, named, strict=True)])

    portable = keras.backend.backend() == "tensorflow" and len(model.inputs) == 1
    parameters = dict(client.get_run(run_id).data.params)
    with contextlib.redirect_stdout(io.StringIO()):  # Keras prints all variables of an exported network
        return log_flavour(
            "keras",
            name="model",
            run_id=run_id,
            client=client,
            uri=uri,
            files=sorted(folder.glob("model.*")),  # model.json and model.keras
            about={"params": parameters, "tags": {} if portable else {"needs": NEEDS}},
            model=model,
            save_exported_model=portable,
            signature=ModelSignature(inputs=schema(model.inputs), outputs=schema(model.outputs)),
            metadata=json.loads(json.dumps(metadata)),  # plain lists, as they are read back
            pip_requirements=requirements(),
        )


def log_flavour(
    flavour: str,
    *,
    name: str,
    run_id: str,
    client: "MlflowClient",
    uri: str,
    files: Sequence[Path] = (),
    about: Mapping[str, Any] | None = None,
    **settings: Any,
) -> str:
    """Logs a model of the flavour "keras" or "pyfunc" to a run of the store at `uri`, and gives its URI.

    The model is made first, because Model.log by itself puts it into the experiment that happens to be active. The files go
    along in the folder `network`; `about` are the model's parameters and tags, `settings` those of the flavour.
    """
    import mlflow
    from mlflow.models import Model

    experiment = client.get_run(run_id).info.experiment_id
    place = client.create_logged_model(experiment, name=name, source_run_id=run_id, **(about or {}))
    for path in files:
        client.log_model_artifact(place.model_id, str(path), NETWORK_FOLDER)
    mlflow.set_tracking_uri(uri)  # Model.log takes no client
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a warning about MLflow's own type hints
        module = importlib.import_module(f"mlflow.{flavour}")
        made = Model.log(artifact_path=None, model_id=place.model_id, flavor=module, run_id=run_id, **settings)
    return str(made.model_uri)


def requirements(*names: str) -> list[str]:
    """The installed versions of Keras, of its backend in this process, and of other packages, in pip's format."""
    return [f"{name}=={version(name)}" for name in ("keras", check_backend(), *names)]


def fetch_folder(uri: str, *, holding: str, root: Path | None = None) -> Path | None:
    """Finds the folder with a file of this name among the files of a logged model, which is downloaded if it is not local.

    The model's URI is `models:/m-...`, `models:/NAME@ALIAS` or `runs:/ID/model`. None if no such file was logged with it.

    Raises:
        UserError: The store has no such model, or cannot be reached.
    """
    import mlflow

    mlflow.set_tracking_uri(opened_uri(root))
    try:
        place = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except Exception as error:
        raise UserError(
            f"{uri}: no model could be loaded from MLflow at {tracking_uri(root)} ({error}); "
            "list what is there with `mlflow ui`, or give the path of a model.keras"
        ) from error
    return next((path.parent for path in sorted(place.rglob(holding))), None)
