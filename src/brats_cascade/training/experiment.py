"""One experiment from opened cases to a trained network: weights, samplers, CNN 1's maps, all phases."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from brats_cascade.models.build import build_model
from brats_cascade.models.cascade import (
    CASCADES,
    CNN2,
    GEOMETRY,
    Cnn1,
    Geometry,
    build_cnn2,
    cnn1_map_model,
    join_cascade,
)
from brats_cascade.models.fold import fold_two_path
from brats_cascade.models.two_path import Style
from brats_cascade.params.train import TrainParams
from brats_cascade.training.batches import Sampler, TrainingData
from brats_cascade.training.class_weights import case_weights
from brats_cascade.training.cnn1_maps import stored_maps
from brats_cascade.training.devices import ONE_DEVICE, Devices
from brats_cascade.training.fingerprint import fingerprint
from brats_cascade.training.loop import Watch
from brats_cascade.training.patches import PatchSampler
from brats_cascade.training.phases import Phase, train_phases
from brats_cascade.training.progress import Progress
from brats_cascade.training.settings import descent_of, phase1_of, style_of
from brats_cascade.training.tiles import TileSampler
from brats_cascade.training.validation import validation_scores

OnCheck = Callable[[list[dict[str, float]]], None]


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        network: From the image alone to probabilities.
        progress: History, labelled pixels seen, seconds.
        weights: Table of class weights: case, slice, weight_LABEL.
        style: Of the network, its CNN 2 in a cascade.
        cnn1_style: Of a cascade's CNN 1, or None.
        cnn1: History of a CNN 1 that was trained within, or None.
        computed: Seconds that this process spent in the phases and on CNN 1's maps, those of a CNN 1 within included; less
            than `seconds` where an earlier process had done a part.
    """

    network: keras.Model
    progress: Progress
    weights: pd.DataFrame
    style: Style
    cnn1_style: Style | None = None
    cnn1: Progress | None = None
    computed: float = 0.0

    @property
    def seconds(self) -> float:
        """Of the training loops, a CNN 1's within included."""
        return self.progress.seconds + (0.0 if self.cnn1 is None else self.cnn1.seconds)


def train_experiment(
    architecture: str,
    *,
    data: TrainingData,
    settings: TrainParams,
    cnn1: Cnn1 | None,
    folder: Path,
    shared: Path | None = None,
    on_check: OnCheck | None = None,
    devices: Devices = ONE_DEVICE,
) -> Trained:
    """Trains one of the paper's four networks (section 3), or a U-Net in the same way.

    Args:
        architecture: A key of GEOMETRY.
        data: What it is trained on.
        settings: Of the network and its training.
        cnn1: A cascade's; without one a cascade with `settings.cascade` "frozen" trains its own, by the same settings, and
            "joint" starts from a new one.
        folder: For the checkpoints.
        shared: For what trainings share, CNN 1's maps and finished phases 1; None keeps this training's own in `folder`.
        on_check: Called with the history after every validation round of the last CNN.
        devices: What computes.

    Returns:
        The trained network, with the best weights of the last phase.
    """
    cascade = architecture in CASCADES
    frozen, within, style = cascade and settings.cascade == "frozen", None, style_of(settings)
    if frozen and cnn1 is None:
        within = train_experiment(
            "two_path", data=data, settings=settings, cnn1=None, folder=folder / "cnn1", shared=shared, devices=devices
        )
        cnn1 = Cnn1(within.network, style)
    keras.utils.set_random_seed(settings.seed)
    key = functools.partial(fingerprint, architecture, data=data, cnn1=cnn1)
    outcome, kept = key(settings=settings), None
    if shared is not None and devices is ONE_DEVICE and settings.procedure != "single":
        kept = shared / "phase1" / f"{key(settings=phase1_of(settings))[:32]}.npz"
    started = time.perf_counter()
    with devices.scope():
        network, geometry = _network(architecture, data=data, style=style, cnn1=cnn1, frozen=frozen)
    with contextlib.ExitStack() as held:
        if frozen and cnn1 is not None:
            place = (shared or folder) / "cnn1_maps"
            data = held.enter_context(
                _with_maps(data, cnn1=cnn1, cnn2=network, precision=settings.precision, folder=place)
            )
        phases, frame = _plan(data, geometry=geometry, settings=settings)
        watch = Watch(
            lambda: validation_scores(network, cases=data.validation, classes=data.classes, geometry=geometry),
            checkpoint_steps=settings.checkpoint_steps,
            patience=settings.patience,
            on_check=on_check,
        )
        progress = train_phases(
            network, phases=phases, descent=descent_of(settings), watch=watch, folder=folder, fingerprint=outcome,
            devices=devices, kept=kept,
        )  # fmt: skip
    computed = time.perf_counter() - started + (within.computed if within else 0.0)
    if frozen and cnn1 is not None:
        network = join_cascade(architecture, cnn1=cnn1.network, cnn2=network)
    cnn1_style = (cnn1.style if cnn1 else style) if cascade else None
    return Trained(network, progress, frame, style, cnn1_style, within.progress if within else None, computed)


def _network(
    architecture: str, *, data: TrainingData, style: Style, cnn1: Cnn1 | None, frozen: bool
) -> tuple[keras.Model, Geometry]:
    """What is trained, with random weights but those of a given CNN 1, and where it looks: CNN 2 alone on a frozen CNN 1."""
    shape = {"modalities": data.train[0].image.shape[-1], "classes": len(data.classes)}
    if frozen:
        network = build_cnn2(architecture, style=style, **shape)
        return network, replace(CNN2, joined=GEOMETRY[architecture].joined)
    return build_model(architecture, style=style, cnn1=cnn1 and cnn1.network, **shape), GEOMETRY[architecture]


@contextlib.contextmanager
def _with_maps(
    data: TrainingData, *, cnn1: Cnn1, cnn2: keras.Model, precision: str, folder: Path
) -> Iterator[TrainingData]:
    """The same data with CNN 1's maps of every case, computed by CNN 1 in its folded form where that is possible."""
    seen = cnn1_map_model(cnn1.network, cnn2=cnn2)
    if seen is cnn1.network:
        seen = fold_two_path(seen, style=replace(cnn1.style, precision=precision))
    with stored_maps(seen, cases=[*data.train, *data.validation], folder=folder) as maps:
        train, validation = (
            [replace(case, maps=maps[case.name]) for case in cases] for cases in (data.train, data.validation)
        )
        yield replace(data, train=train, validation=validation)


def _plan(data: TrainingData, *, geometry: Geometry, settings: TrainParams) -> tuple[list[Phase], pd.DataFrame]:
    """The phases with their samplers, and the table of class weights."""
    scheme, power = settings.class_weights, settings.weight_power
    table, frame = case_weights(data.train, classes=data.classes, scheme=scheme, power=power)
    kind = PatchSampler if settings.sampler == "patches" else TileSampler

    def sampler(name: str, *, weights: Mapping[str, np.ndarray] | None, salt: int) -> Sampler:
        return kind(
            data.train, centres=data.patch_sets[name], classes=data.classes, geometry=geometry, weights=weights,
            settings=settings, seed=settings.seed * 1000 + salt,
        )  # fmt: skip

    single, start_bias = settings.procedure == "single", settings.start == "paper"
    drawn = sampler("phase2" if single else "phase1", weights=table, salt=1)
    phases = [Phase(1, drawn, settings.steps, settings.checks, start_bias)]
    if settings.phase2_steps and not single:
        drawn = sampler("phase2", weights=None, salt=2)
        phases.append(Phase(2, drawn, settings.phase2_steps, settings.checks))
    return phases, frame
