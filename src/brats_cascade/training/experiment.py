"""One experiment from opened cases to a trained network: weights, samplers, CNN 1's maps, all phases."""

import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from brats_cascade.models.build import build_model
from brats_cascade.models.cascade import CASCADES, CNN2, GEOMETRY, Geometry, build_second, first_maps, join_cascade
from brats_cascade.models.fold import fold_two_path
from brats_cascade.models.two_path import Style
from brats_cascade.training.batches import Sampler, TrainingCase
from brats_cascade.training.class_weights import case_weights
from brats_cascade.training.cnn1_maps import stored_maps
from brats_cascade.training.devices import ONE_DEVICE, Devices
from brats_cascade.training.fingerprint import fingerprint
from brats_cascade.training.loop import Watch
from brats_cascade.training.patches import PatchSampler
from brats_cascade.training.phases import Phase, train_phases
from brats_cascade.training.progress import Progress
from brats_cascade.training.recipe import Recipe
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
        first: History of a CNN 1 that was trained within, or None.
        computed: Seconds that this process spent in the phases and on CNN 1's maps, those of a CNN 1 within included; less
            than `seconds` where an earlier process had done a part.
    """

    network: keras.Model
    progress: Progress
    weights: pd.DataFrame
    first: Progress | None = None
    computed: float = 0.0

    @property
    def seconds(self) -> float:
        """Of the training loops, a CNN 1's within included."""
        return self.progress.seconds + (0.0 if self.first is None else self.first.seconds)


def train_experiment(
    architecture: str,
    *,
    train: Sequence[TrainingCase],
    validation: Sequence[TrainingCase],
    patch_sets: Mapping[str, pd.DataFrame],
    classes: Sequence[int],
    style: Style,
    recipe: Recipe,
    first: keras.Model | None,
    first_style: Style | None = None,
    folder: Path,
    shared: Path | None = None,
    on_check: OnCheck | None = None,
    devices: Devices = ONE_DEVICE,
) -> Trained:
    """Trains one of the paper's four networks (section 3), or a U-Net in the same way.

    Args:
        architecture: A key of GEOMETRY.
        train: The training cases.
        validation: The validation cases.
        patch_sets: "phase1" and "phase2": centres (case, slice, row, column).
        classes: Canonical label of each class.
        style: Width, normalisation and the rest.
        recipe: Steps, weights, augmentation, optimiser.
        first: A cascade's trained CNN 1; without one a cascade with `recipe.cascade` "frozen" trains its own first, by
            the same recipe, and "joint" starts from a new one.
        first_style: That CNN 1's; with it its maps are computed faster.
        folder: For the checkpoints.
        shared: For what trainings share, CNN 1's maps and finished phases 1; None keeps this training's own in `folder`.
        on_check: Called with the history after every validation round of the last CNN.
        devices: What computes.

    Returns:
        The trained network, with the best weights of the last phase.
    """
    joint = recipe.cascade == "joint" and architecture in CASCADES
    within = None
    if architecture in CASCADES and first is None and not joint:
        within = train_experiment(
            "two_path", train=train, validation=validation, patch_sets=patch_sets, classes=classes, style=style,
            recipe=recipe, first=None, folder=folder / "cnn1", shared=shared, devices=devices,
        )  # fmt: skip
        first, first_style = within.network, style
    keras.utils.set_random_seed(recipe.seed)
    key = functools.partial(
        fingerprint, architecture, train=train, validation=validation, patch_sets=patch_sets, classes=classes,
        style=style, first=first, first_style=first_style,
    )  # fmt: skip
    outcome, kept = key(recipe=recipe), None
    if shared is not None and devices is ONE_DEVICE and recipe.procedure != "single":
        kept = shared / "phase1" / f"{key(recipe=_phase1_of(recipe))[:32]}.npz"
    started = time.perf_counter()
    shape = {"modalities": train[0].image.shape[-1], "classes": len(classes)}
    geometry, joined = CNN2, 0
    with devices.scope():
        if architecture not in CASCADES or joint:
            geometry = GEOMETRY[architecture]
            network = build_model(architecture, style=style, first=first, **shape)
        else:
            network = build_second(architecture, style=style, **shape)
    with contextlib.ExitStack() as held:
        if first is not None and not joint:
            joined = GEOMETRY[architecture].joined
            seen = first_maps(first, second=network)
            if seen is first and first_style is not None:
                seen = fold_two_path(first, style=first_style)
            place = (shared or folder) / "cnn1_maps"
            maps = held.enter_context(stored_maps(seen, cases=[*train, *validation], folder=place))
            train, validation = ([replace(case, maps=maps[case.name]) for case in some] for some in (train, validation))
        phases, frame = _plan(
            train, patch_sets=patch_sets, classes=classes, geometry=geometry, joined=joined, recipe=recipe
        )
        watch = Watch(
            lambda: validation_scores(network, cases=validation, classes=classes, geometry=geometry, joined=joined),
            checkpoint_steps=recipe.checkpoint_steps,
            patience=recipe.patience,
            on_check=on_check,
        )
        progress = train_phases(
            network, phases=phases, descent=recipe.descent, watch=watch, folder=folder, fingerprint=outcome,
            start_bias=recipe.start_bias, devices=devices, kept=kept,
        )  # fmt: skip
    computed = time.perf_counter() - started + (0.0 if within is None else within.computed)
    if first is not None and not joint:
        network = join_cascade(architecture, first=first, second=network)
    return Trained(network, progress, frame, None if within is None else within.progress, computed)


def _plan(
    train: Sequence[TrainingCase],
    *,
    patch_sets: Mapping[str, pd.DataFrame],
    classes: Sequence[int],
    geometry: Geometry,
    joined: int,
    recipe: Recipe,
) -> tuple[list[Phase], pd.DataFrame]:
    """The phases with their samplers, and the table of class weights."""
    table, frame = case_weights(train, classes=classes, scheme=recipe.class_weights, power=recipe.weight_power)

    def sampler(name: str, *, weights: Mapping[str, np.ndarray] | None, salt: int) -> Sampler:
        centres, seed = patch_sets[name], recipe.seed * 1000 + salt
        if recipe.sampler == "patches":
            return PatchSampler(
                train, centres=centres, classes=classes, geometry=geometry, joined=joined, batch=recipe.batch,
                weights=weights, flip=recipe.flip, intensity=recipe.intensity, seed=seed, order=recipe.patch_order,
                slice_epochs=recipe.slice_epochs,
            )  # fmt: skip
        return TileSampler(
            train, centres=centres, classes=classes, geometry=geometry, joined=joined, tile=recipe.tile,
            batch=recipe.batch, weights=weights, flip=recipe.flip, intensity=recipe.intensity, seed=seed,
            loss_on=recipe.loss_on,
        )  # fmt: skip

    if recipe.procedure == "single":
        return [Phase(1, sampler("phase2", weights=table, salt=1), recipe.steps, recipe.checks)], frame
    phases = [Phase(1, sampler("phase1", weights=table, salt=1), recipe.steps, recipe.checks)]
    if recipe.phase2_steps:
        phases.append(Phase(2, sampler("phase2", weights=None, salt=2), recipe.phase2_steps, recipe.checks))
    return phases, frame


def _phase1_of(recipe: Recipe) -> Recipe:
    """What of a recipe decides its phase 1."""
    return replace(recipe, phase2_steps=0, descent=replace(recipe.descent, phase2_rate=1.0))
