"""Networks in MLflow: logged with a signature, in a form that opens without this project, loaded again by URI."""

import contextlib
import importlib
import io
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade.errors import UserError
from brats_cascade.tracking.store import opened_uri, tracking_uri

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

NETWORK_FOLDER = "network"  # in a logged model: the files of models/EXPERIMENT
NEEDS = "pip install brats-cascade from its checkout, then import brats_cascade.models.build before loading"


def log_network(
    model: "keras.Model",
    *,
    run_id: str,
    client: "MlflowClient",
    uri: str,
    metadata: Mapping[str, Any],
    folder: Path,
    pip_requirements: Sequence[str] | None = None,
) -> str:
    """Logs a network to a run; see `Run.log_model`, which cannot fail.

    It is logged twice: as TensorFlow's SavedModel, which MLflow opens where this project is not installed, and in
    `network/` as training wrote it, for this project. JAX cannot write a SavedModel of a cascade (its windows are of any
    side), so under JAX MLflow holds a Keras file and a tag names what opens it.
    """
    import keras
    import mlflow

    flavour = _keras_flavour()
    from mlflow.models import Model

    # Made here, because Model.log by itself puts the model into the experiment that happens to be active.
    run = client.get_run(run_id)
    place = client.create_logged_model(
        run.info.experiment_id, name="model", source_run_id=run_id, params=dict(run.data.params)
    )
    for path in sorted(folder.glob("model.*")):  # model.json and model.keras
        client.log_model_artifact(place.model_id, str(path), NETWORK_FOLDER)
    portable = keras.backend.backend() == "tensorflow"
    if not portable:
        client.set_logged_model_tags(place.model_id, {"needs": NEEDS})
    mlflow.set_tracking_uri(uri)  # Model.log knows no client
    with contextlib.redirect_stdout(io.StringIO()):  # Keras prints every variable of what it exports
        info = Model.log(
            artifact_path=None,
            model_id=place.model_id,
            flavor=flavour,
            run_id=run_id,
            model=model,
            save_exported_model=portable,
            signature=_signature(model),
            metadata=json.loads(json.dumps(metadata)),  # plain lists, as they come back
            pip_requirements=list(pip_requirements or requirements()),
        )
    return str(info.model_uri)


def _signature(model: "keras.Model") -> "ModelSignature":
    """Images of any number, rows and columns."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    pixels = np.dtype(np.float32)
    return ModelSignature(
        inputs=Schema([TensorSpec(pixels, (-1, -1, -1, model.input_shape[-1]))]),
        outputs=Schema([TensorSpec(pixels, (-1, -1, -1, model.output_shape[-1]))]),
    )


def requirements(*names: str) -> list[str]:
    """The installed releases of Keras, of its backend in this process, and of others, as pip writes them.

    Args:
        names: The others.
    """
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    return [f"{name}=={version(name)}" for name in ("keras", backend, *names)]


def load_model(uri: str, *, root: Path | None = None) -> "keras.Model":
    """Loads a logged network.

    Args:
        uri: `models:/m-...`, `models:/NAME@ALIAS` or `runs:/ID/model`.
        root: The project's folder.

    Returns:
        The network.

    Raises:
        UserError: The store has no such model, or cannot be reached.
    """
    from brats_cascade.models.build import load_network

    # Not through mlflow.keras, which finds nothing in a folder whose name looks like an encoded one, `a%20b`.
    folder = fetch_folder(uri, holding="model.keras", root=root)
    if folder is None:
        raise UserError(f"{uri}: a model without a network of Keras; expected one that this project has logged")
    return load_network(folder / "model.keras")


def model_metadata(uri: str, *, root: Path | None = None) -> dict[str, Any]:
    """Reads what was logged beside a network.

    Args:
        uri: As in `load_model`.
        root: The project's folder.

    Returns:
        The `metadata` given to `Run.log_model`; empty if there was none.

    Raises:
        UserError: The store has no such model, or cannot be reached.
    """
    import mlflow

    _keras_flavour()
    mlflow.set_tracking_uri(opened_uri(root))
    with _explained(uri, root=root):
        return dict(mlflow.models.get_model_info(uri).metadata or {})


def fetch_folder(uri: str, *, holding: str, root: Path | None = None) -> Path | None:
    """Finds the folder with a file among what was logged as a model, fetching the model where it is not local.

    Args:
        uri: As in `load_model`.
        holding: The file's name.
        root: The project's folder.

    Returns:
        The folder, or None if no such file was logged with the model.

    Raises:
        UserError: The store has no such model, or cannot be reached.
    """
    import mlflow

    mlflow.set_tracking_uri(opened_uri(root))
    with _explained(uri, root=root):
        place = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    return next((path.parent for path in sorted(place.rglob(holding))), None)


@contextlib.contextmanager
def _explained(uri: str, *, root: Path | None) -> Iterator[None]:
    """Turns whatever MLflow raises into one line for the user."""
    try:
        yield
    except Exception as error:
        raise UserError(
            f"{uri}: no model could be loaded from MLflow at {tracking_uri(root)} ({error}); "
            "list what is there with `mlflow ui`, or give the path of a model.keras"
        ) from error


def _keras_flavour() -> Any:
    """mlflow.keras; importing what is behind it warns of MLflow's own type hints."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        importlib.import_module("mlflow.pyfunc")
        return importlib.import_module("mlflow.keras")
