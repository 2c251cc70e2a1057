"""Everything that decides what a training ends with, as one hash: checkpoints and finished phases 1 are kept under it."""

import functools
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import pandas as pd

import brats_cascade
from brats_cascade.models.files import weights_digest
from brats_cascade.models.two_path import Style
from brats_cascade.params.train import TrainParams
from brats_cascade.training.batches import TrainingData

# What training imports of this package (a test compares).
SOURCES = (
    "models",
    "training",
    "data/grid.py",
    "data/windows.py",
    "inference/coarse.py",
    "inference/dense.py",
    "labels.py",
)


@dataclass(frozen=True)
class Cnn1:
    """What a cascade is built on: a trained network, its style, and the settings of its training where they are known."""

    network: keras.Model
    style: Style
    settings: TrainParams | None = None


@dataclass(frozen=True)
class Experiment:
    """What is trained.

    Attributes:
        architecture: A key of GEOMETRY.
        data: What it is trained on.
        settings: Of the training.
        cnn1: What a cascade is built on; None: a new one, trained by the same settings or, with `cascade` "joint", together.
        inner: Names of training cases, and the CNN 1 that makes their maps and has not seen them.
    """

    architecture: str
    data: TrainingData
    settings: TrainParams
    cnn1: Cnn1 | None = None
    inner: Sequence[tuple[Collection[str], Cnn1]] = ()


def fingerprint(experiment: Experiment) -> str:
    """A hash of everything that decides a training's outcome; 64 hexadecimal digits.

    The validation cases are part of it: they decide which weights are kept. So are the code and the backend. The steps
    between checkpoints and the devices are not.
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
    """A hash of a network's weights, its name, and what its outputs are computed with."""
    precision = network.get_layer("output").compute_dtype
    parts = (network.name, precision, computed_with(), weights_digest(network))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@functools.cache
def computed_with() -> str:
    """Backend, Keras's version, and a hash of the code that trains."""
    package, digest = Path(brats_cascade.__path__[0]), hashlib.sha256()
    for source in SOURCES:
        path = package / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(package).as_posix()} ".encode() + file.read_bytes())
    return f"{keras.backend.backend()} {keras.__version__} {digest.hexdigest()}"


def _table_digest(table: pd.DataFrame) -> str:
    return hashlib.sha256(pd.util.hash_pandas_object(table).to_numpy().tobytes()).hexdigest()
