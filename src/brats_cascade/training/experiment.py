"""Trains one experiment, from opened cases to the network: class weights, samplers, CNN 1's maps, all phases."""

import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from brats_cascade.models.build import CNN1_OF, build_model, join_cnns
from brats_cascade.models.cascade import CNN2, GEOMETRY, Geometry, build_cnn2
from brats_cascade.models.coarse import COARSE, COARSE_CNN1, build_coarse_cnn2
from brats_cascade.models.two_path import Style
from brats_cascade.params.train import TrainParams
from brats_cascade.training.batches import Sampler, TrainingData
from brats_cascade.training.checkpoint import Progress
from brats_cascade.training.class_weights import case_weights
from brats_cascade.training.cnn1_maps import with_maps
from brats_cascade.training.coarse import cnn1_tiles, cnn2_geometry, on_coarse_grid
from brats_cascade.training.devices import ONE_DEVICE, Devices
from brats_cascade.training.fingerprint import Experiment, fingerprint
from brats_cascade.training.first_cnns import train_first_cnns
from brats_cascade.training.loop import Phase, Training
from brats_cascade.training.patches import PatchSampler
from brats_cascade.training.phases import train_phases
from brats_cascade.training.tiles import TileSampler
from brats_cascade.training.validation import validation_scores
from brats_cascade.training.views import along_all_axes

OnCheck = Callable[[list[dict[str, float]]], None]


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        network: Maps the image to probabilities.
        progress: History, labelled pixels seen, seconds.
        weights: Table of class weights: case, slice, weight_LABEL.
        style: Style of the network, in a cascade that of CNN 2.
        cnn1_style: Style of a cascade's CNN 1, or None.
        cnn1: The result of a CNN 1 that was trained as part of this experiment, or None.
        inner: The results of the inner CNN 1s, which made maps of training patients that they were not trained on.
        computed: Seconds that this process spent in the phases and on CNN 1's maps, including CNN 1s trained as part of
            this experiment; less than `seconds` if the training was resumed.
    """

    network: keras.Model
    progress: Progress
    weights: pd.DataFrame
    style: Style
    cnn1_style: Style | None = None
    cnn1: "Trained | None" = None
    inner: "Sequence[Trained]" = ()
    computed: float = 0.0

    @property
    def seconds(self) -> float:
        """Duration of the training loops, including those of CNN 1s."""
        return self.progress.seconds + sum(part.seconds for part in self.within)

    @property
    def cpu_seconds(self) -> float:
        """Processor time of them, likewise."""
        return self.progress.cpu_seconds + sum(part.cpu_seconds for part in self.within)

    @property
    def pixels(self) -> int:
        """Labelled pixels seen, including those of CNN 1s."""
        return self.progress.pixels + sum(part.pixels for part in self.within)

    @property
    def within(self) -> "list[Trained]":
        """The results of the CNN 1s trained as part of this experiment."""
        return [*([] if self.cnn1 is None else [self.cnn1]), *self.inner]


def train_experiment(
    experiment: Experiment,
    *,
    folder: Path,
    shared: Path | None = None,
    on_check: OnCheck | None = None,
    devices: Devices = ONE_DEVICE,
) -> Trained:
    """Trains one of the paper's four networks (section 3), the coarse cascade or a U-Net.

    `folder` holds the checkpoints. `shared` holds what trainings share, CNN 1's maps and kept trainings of phase 1; if it is
    None, they are in `folder`. `on_check` is called with the history after every validation round of the last CNN.
    """
    architecture, settings = experiment.architecture, experiment.settings
    frozen = architecture in CNN1_OF and settings.cascade == "frozen"
    cnn1: Trained | None = None
    inner: list[Trained] = []
    if frozen:
        train = functools.partial(train_experiment, shared=shared, devices=devices)
        experiment, cnn1, inner = train_first_cnns(train, experiment, folder=folder, shared=shared or folder)
    keras.utils.set_random_seed(settings.seed)
    outcome, kept = fingerprint(experiment), None
    if shared is not None and devices is ONE_DEVICE and settings.procedure != "single":
        phase1 = settings.model_copy(update={"phase2_steps": 0, "phase2_rate": 1.0})  # the settings that decide phase 1
        kept = shared / "phase1" / f"{fingerprint(replace(experiment, settings=phase1))[:32]}.npz"
    started = time.perf_counter()
    with devices.scope():
        network, geometry = _network(experiment, frozen=frozen)
    seen = experiment.data
    if architecture == COARSE_CNN1:
        seen, settings = on_coarse_grid(seen), cnn1_tiles(settings)
    if settings.axes == "all":
        seen = along_all_axes(seen)
    maps: contextlib.AbstractContextManager[TrainingData] = contextlib.nullcontext(seen)
    if frozen:  # CNN 2 sees the stored slices alone
        maps = with_maps(experiment, cnn2=network, folder=(shared or folder) / "cnn1_maps")
    with maps as data:
        phases, frame = _plan(data, geometry=geometry, settings=settings)
        validate = functools.partial(
            validation_scores, network, cases=data.validation, classes=data.classes, geometry=geometry
        )
        training = Training(network, settings, validate, folder / "checkpoint.npz", outcome, on_check, devices, kept)
        progress = train_phases(training, phases)
    computed = time.perf_counter() - started + sum(own.computed for own in (*filter(None, [cnn1]), *inner))
    style = cnn1_style = Style.of(settings)
    if experiment.cnn1 is not None:
        cnn1_style = experiment.cnn1.style
        network = join_cnns(architecture, cnn1=experiment.cnn1.network, cnn2=network) if frozen else network
    below = cnn1_style if architecture in CNN1_OF else None
    return Trained(network, progress, frame, style, below, cnn1, inner, computed)


def _network(experiment: Experiment, *, frozen: bool) -> tuple[keras.Model, Geometry]:
    """The network to train (only CNN 2 if CNN 1 is frozen) and its geometry; weights other than a given CNN 1's are random."""
    architecture, data, style = experiment.architecture, experiment.data, Style.of(experiment.settings)
    shape = {"modalities": data.train[0].image.shape[-1], "classes": len(data.classes)}
    if frozen and architecture == COARSE:
        geometry = cnn2_geometry([*data.train, *data.validation])
        return build_coarse_cnn2(style=style, steps=geometry.step, **shape), geometry
    if frozen:
        network = build_cnn2(architecture, style=style, **shape)
        return network, replace(CNN2, joined=GEOMETRY[architecture].joined)
    cnn1 = experiment.cnn1 and experiment.cnn1.network
    return build_model(architecture, style=style, cnn1=cnn1, **shape), GEOMETRY[architecture]


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

    single = settings.procedure == "single"
    drawn = sampler("phase2" if single else "phase1", weights=table, salt=1)
    phases = [Phase(1, drawn, settings.steps, settings.checks)]
    if settings.phase2_steps and not single:
        phases.append(Phase(2, sampler("phase2", weights=None, salt=2), settings.phase2_steps, settings.checks))
    return phases, frame
