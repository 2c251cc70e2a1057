"""A hash of everything that decides a training's outcome; it identifies checkpoints and kept trainings of phase 1."""

import functools
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import keras
import pandas as pd

from brats_cascade.models.coarse import members_of
from brats_cascade.models.files import weights_digest
from brats_cascade.models.two_path import Style
from brats_cascade.params.train import TrainParams
from brats_cascade.provenance import code_digest
from brats_cascade.training.batches import TrainingData

# The modules of this package that training imports (checked by a test).
SOURCES = (
    "models",
    "training",
    "data/axes.py",
    "data/grid.py",
    "data/windows.py",
    "inference/coarse.py",
    "inference/dense.py",
    "labels.py",
)


@dataclass(frozen=True)
class Cnn1:
    """A trained CNN 1: the network, its style, and its training settings if they are known."""

    network: keras.Model
    style: Style
    settings: TrainParams | None = None


@dataclass(frozen=True)
class Experiment:
    """What is trained.

    Attributes:
        architecture: A key of GEOMETRY.
        data: The training data.
        settings: The training settings.
        cnn1: The CNN 1 that a cascade builds on. None: a new one is trained with the same settings or, with `cascade`
            "joint", together with CNN 2.
        inner: Pairs of training cases' names and the CNN 1, not trained on them, that makes their maps.
    """

    architecture: str
    data: TrainingData
    settings: TrainParams
    cnn1: Cnn1 | None = None
    inner: Sequence[tuple[Collection[str], Cnn1]] = ()


def fingerprint(experiment: Experiment) -> str:
    """A hash of everything that decides a training's outcome, 64 hexadecimal digits.

    It includes the validation cases, which decide which weights are kept, the code and the backend, but not the checkpoint
    interval and the devices.
    """
    data, cnn1 = experiment.data, experiment.cnn1
    parts = {
        "architecture": experiment.architecture,
        "train": [(case.name, case.digest) for case in data.train],
        "validation": [(case.name, case.digest) for case in data.validation],
        "patch_sets": {name: _table_digest(table) for name, table in sorted(data.patch_sets.items())},
        "classes": [int(label) for label in data.classes],
        "settings": experiment.settings.model_dump(exclude={"checkpoint_steps", "devices"}),
        "cnn1": cnn1 and (network_digest(cnn1.network), cnn1.style),
        "inner": [(sorted(cases), network_digest(maker.network)) for cases, maker in experiment.inner],
        "computed": computed_with(),
    }
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def network_digest(network: keras.Model) -> str:
    """A hash of a network's weights, its name, and the software that computes its outputs."""
    dtypes = sorted({layer.compute_dtype for layer in members_of(network)[0].layers})
    parts = (network.name, dtypes, computed_with(), weights_digest(network))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@functools.cache
def computed_with() -> str:
    """The backend, Keras's version, and a hash of the training code."""
    return f"{keras.backend.backend()} {keras.__version__} {code_digest(SOURCES)}"


def _table_digest(table: pd.DataFrame) -> str:
    return hashlib.sha256(pd.util.hash_pandas_object(table).to_numpy().tobytes()).hexdigest()
