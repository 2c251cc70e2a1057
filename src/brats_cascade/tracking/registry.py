"""The registered model, `models:/brats-cascade@champion`: the champion's network, post-processing and card."""

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import brats_cascade
from brats_cascade.errors import one_line
from brats_cascade.inference.chosen import SCORES
from brats_cascade.tracking.model import log_flavour, requirements
from brats_cascade.tracking.store import ask_store, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

NAME, ALIAS, CHALLENGER = "brats-cascade", "champion", "challenger"
ABOUT = "Networks that did best on the validation patients; the alias champion marks the best of all finished runs."
CARD = "MODEL_CARD.md"
# The code that answers requests; a version with other code is registered again.
SERVED = (Path(__file__).with_name("serving.py"), Path(brats_cascade.__file__).parent / "inference" / "requests.py")
NEEDED = ("mlflow", "numpy", "scipy", "pandas", "nibabel", "SimpleITK", "psutil")

log = logging.getLogger(__name__)


def register_champion(
    folder: Path,
    *,
    scores: Path,
    card: str,
    run_id: str,
    tags: Mapping[str, Any],
    root: Path | None = None,
    alias: str = ALIAS,
) -> str | None:
    """Registers the network of a folder models/E and gives it the alias; nothing changes if it already has it.

    `scores` is metrics/E/summary.json, from which the post-processing is read, `card` Markdown, `run_id` the network's own run;
    `tags` are those of the version, for searching.

    Returns:
        The version, or None if MLflow cannot be reached or has no such run, which is reported on one line.
    """
    files = sorted(folder.glob("model.*"))  # model.json and model.keras
    content = b"".join(path.read_bytes() for path in (*files, scores, *SERVED)) + card.encode()
    fingerprint = hashlib.sha256(content).hexdigest()

    def register(client: "MlflowClient", _: str) -> str:
        if known := _give(alias, client=client, wanted=f"tags.fingerprint = '{fingerprint}'"):
            return known
        uri = _log(client, uri=tracking_uri(root), files=[*files, scores], card=card, run_id=run_id)
        if not client.search_registered_models(f"name = '{NAME}'"):
            client.create_registered_model(NAME, description=ABOUT)
        named = {"fingerprint": fingerprint, **{key: str(value) for key, value in tags.items()}}
        model_id = uri.removeprefix("models:/")
        made = client.create_model_version(
            NAME, source=uri, run_id=run_id, model_id=model_id, description=card, tags=named
        )
        client.set_registered_model_alias(NAME, alias, made.version)
        return str(made.version)

    return ask_store(register, root=root, report=_warn)


def point_to(run_id: str, *, root: Path | None = None, alias: str = ALIAS) -> str | None:
    """Gives the alias to the version that was registered for a run (of a DVC experiment, for example), and returns it.

    None if the run has no version, or MLflow cannot be reached.
    """
    wanted = f"run_id = '{run_id}'"
    return ask_store(lambda client, _: _give(alias, client=client, wanted=wanted), root=root, report=_warn)


def drop_challenger(root: Path) -> None:
    """Removes the alias challenger, because no candidate is rejected any more."""

    def drop(client: "MlflowClient", _: str) -> None:
        if _holder(CHALLENGER, client=client) is not None:
            client.delete_registered_model_alias(NAME, CHALLENGER)

    ask_store(drop, root=root, report=_warn)


def alias_run(root: Path) -> str:
    """The run whose network has the alias champion; "" if there is none, or MLflow cannot be reached."""
    version = ask_store(lambda client, _: _holder(ALIAS, client=client), root=root)
    return str(version.run_id) if version is not None else ""


def _warn(error: Exception) -> None:
    log.warning("the champion could not be set in MLflow (%s: %s)", type(error).__name__, one_line(error))


def _give(alias: str, *, client: "MlflowClient", wanted: str) -> str | None:
    """Gives the alias to a registered version, and returns it; None if there is none."""
    for version in client.search_model_versions(f"name = '{NAME}' and {wanted}", max_results=1):
        client.set_registered_model_alias(NAME, alias, version.version)
        return str(version.version)
    return None


def _holder(alias: str, *, client: "MlflowClient") -> Any:
    """The version that has the alias, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(NAME, alias)
    except MlflowException:
        return None


def _log(client: "MlflowClient", *, uri: str, files: list[Path], card: str, run_id: str) -> str:
    """Logs the files as a pyfunc model of the run; its code is serving.py, as a file, so nothing is pickled.

    The project's code is included, so that the model opens wherever its requirements are installed.
    """
    import numpy as np
    import pandas as pd

    small = np.zeros((3, 6, 6, 4))
    small[:, 1:5, 1:5] = np.random.default_rng(0).integers(50, 900, (3, 4, 4, 4))
    with tempfile.TemporaryDirectory(prefix="brats-cascade-") as place:
        copy = Path(place) / "network"
        copy.mkdir()
        for path in files:
            shutil.copy(path, copy / (SCORES if path.name == "summary.json" else path.name))
        (copy / CARD).write_text(card, encoding="utf-8")
        client.log_artifact(run_id, str(copy / CARD))
        return log_flavour(
            "pyfunc",
            name="champion",
            run_id=run_id,
            client=client,
            uri=uri,
            python_model=str(Path(__file__).with_name("serving.py")),
            artifacts={"model": str(copy)},
            code_paths=[str(Path(brats_cascade.__file__).parent)],
            signature=_signature(),
            input_example=pd.DataFrame({"image": [small.tolist()]}),
            pip_requirements=requirements(*NEEDED),
        )


def _signature() -> "ModelSignature":
    """A row has a folder or an image; the response has its segmentation or its labels."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    image, labels = Array(Array(Array(Array(DataType.double)))), Array(Array(Array(DataType.long)))
    asked: list[Any] = [
        ColSpec(kind, name, required=False) for kind, name in ((DataType.string, "case"), (image, "image"))
    ]
    answer = [ColSpec(DataType.string, name) for name in ("case", "segmentation")]
    return ModelSignature(inputs=Schema(asked), outputs=Schema([*answer, ColSpec(labels, "labels", required=False)]))
