"""One experiment from opened cases to a trained network: weights, samplers, CNN 1's maps, all phases."""

import contextlib
import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from brats_cascade.models.build import CNN1_OF, build_model, join_cnns
from brats_cascade.models.cascade import (
    CNN2,
    GEOMETRY,
    Cnn1,
    Geometry,
    build_cnn2,
)
from brats_cascade.models.coarse import COARSE, COARSE_CNN1, build_coarse_cnn2
from brats_cascade.models.two_path import Style
from brats_cascade.params.train import TrainParams
from brats_cascade.training.batches import Sampler, TrainingData
from brats_cascade.training.class_weights import case_weights
from brats_cascade.training.cnn1_maps import with_maps
from brats_cascade.training.coarse import cnn1_tiles, cnn2_geometry, on_coarse_grid
from brats_cascade.training.devices import ONE_DEVICE, Devices
from brats_cascade.training.fingerprint import fingerprint
from brats_cascade.training.first_cnns import FirstCnns, train_first_cnns
from brats_cascade.training.loop import Watch
from brats_cascade.training.patches import PatchSampler
from brats_cascade.training.phases import Phase, train_phases
from brats_cascade.training.settings import descent_of, phase1_of, style_of
from brats_cascade.training.tiles import TileSampler
from brats_cascade.training.trained import Trained
from brats_cascade.training.validation import validation_scores

OnCheck = Callable[[list[dict[str, float]]], None]


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
    """Trains one of the paper's four networks (section 3), or the coarse cascade or a U-Net in the same way.

    A cascade with `settings.cascade` "frozen" that is given no `cnn1` trains its own first, by the same settings; with "joint"
    it starts from a new one. `folder` is for the checkpoints, `shared` for what trainings share, CNN 1's maps and finished
    phases 1; where it is None they stay in `folder`. `on_check` is called with the history after every validation round of
    the last CNN.
    """
    below, style = CNN1_OF.get(architecture, ""), style_of(settings)  # below: what a cascade's CNN 1 is
    frozen, first = bool(below) and settings.cascade == "frozen", FirstCnns(cnn1)
    if frozen:
        run = functools.partial(train_experiment, below, cnn1=None, shared=shared, devices=devices)
        first = train_first_cnns(
            run, architecture=below, data=data, settings=settings, cnn1=cnn1, folder=folder, shared=shared
        )
        cnn1 = first.cnn1
    keras.utils.set_random_seed(settings.seed)
    place = shared / "phase1" if shared is not None and devices is ONE_DEVICE else None
    outcome, kept = _keys(architecture, data=data, settings=settings, first=first, place=place)
    started = time.perf_counter()
    with devices.scope():
        network, geometry = _network(architecture, data=data, style=style, cnn1=cnn1, frozen=frozen)
    if architecture == COARSE_CNN1:
        data, settings = on_coarse_grid(data), cnn1_tiles(settings)
    maps: contextlib.AbstractContextManager[TrainingData] = contextlib.nullcontext(data)
    if frozen and cnn1 is not None:
        place, precision = (shared or folder) / "cnn1_maps", settings.precision
        maps = with_maps(data, cnn1=cnn1, inner=first.inner, cnn2=network, precision=precision, folder=place)
    with maps as data:
        phases, frame = _plan(data, geometry=geometry, settings=settings)
        watch = _watch(network, data=data, geometry=geometry, settings=settings, on_check=on_check)
        progress = train_phases(
            network, phases=phases, descent=descent_of(settings), watch=watch, folder=folder, fingerprint=outcome,
            devices=devices, kept=kept,
        )  # fmt: skip
    computed = time.perf_counter() - started + sum(own.computed for own in first.trainings)
    if frozen and cnn1 is not None:
        network = join_cnns(architecture, cnn1=cnn1.network, cnn2=network)
    cnn1_style = cnn1.style if cnn1 else style
    return Trained(network, progress, frame, style, cnn1_style if below else None, *first.progress, computed)


def _keys(
    architecture: str, *, data: TrainingData, settings: TrainParams, first: FirstCnns, place: Path | None
) -> tuple[str, Path | None]:
    """What stands for the outcome of a training, and where its finished phase 1 is kept, if it has one that is shared."""
    key = functools.partial(fingerprint, architecture, data=data, cnn1=first.cnn1, inner=first.inner)
    if place is None or settings.procedure == "single":
        return key(settings=settings), None
    return key(settings=settings), place / f"{key(settings=phase1_of(settings))[:32]}.npz"


def _watch(
    network: keras.Model, *, data: TrainingData, geometry: Geometry, settings: TrainParams, on_check: OnCheck | None
) -> Watch:
    """Validation rounds, checkpoints and early stopping."""
    return Watch(
        lambda: validation_scores(network, cases=data.validation, classes=data.classes, geometry=geometry),
        checkpoint_steps=settings.checkpoint_steps,
        patience=settings.patience,
        keep=settings.keep,
        ema=settings.ema,
        on_check=on_check,
    )


def _network(
    architecture: str, *, data: TrainingData, style: Style, cnn1: Cnn1 | None, frozen: bool
) -> tuple[keras.Model, Geometry]:
    """What is trained, with random weights but those of a given CNN 1, and where it looks: CNN 2 alone on a frozen CNN 1."""
    shape = {"modalities": data.train[0].image.shape[-1], "classes": len(data.classes)}
    if frozen and architecture == COARSE:
        geometry = cnn2_geometry([*data.train, *data.validation])
        return build_coarse_cnn2(style=style, steps=geometry.step, **shape), geometry
    if frozen:
        network = build_cnn2(architecture, style=style, **shape)
        return network, replace(CNN2, joined=GEOMETRY[architecture].joined)
    return build_model(architecture, style=style, cnn1=cnn1 and cnn1.network, **shape), GEOMETRY[architecture]


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
