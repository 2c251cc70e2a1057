"""The phases of a training: phase 1 trains all layers, phase 2 the output layer alone (paper section 3.2)."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np

from brats_cascade.models.cascade import output_layer, score_model
from brats_cascade.models.layers import WideOutput
from brats_cascade.shared import in_use
from brats_cascade.training.checkpoint import Checkpoint, Progress, assign_values, read_checkpoint
from brats_cascade.training.descent import Descent
from brats_cascade.training.loop import Loop, Phase, Training
from brats_cascade.training.losses import build_loss

log = logging.getLogger(__name__)
LIMIT = 2**30  # limit for kept trainings of phase 1, bytes; at the paper's width one takes about 15 MB


def train_phases(training: Training, phases: Sequence[Phase]) -> Progress:
    """Trains a network through its phases and returns the progress; the network has the best weights of the last phase.

    The best weights are those with the highest mean validation Dice over the regions, or those of the last validation
    round if the settings keep the last ones. Training resumes from a checkpoint with the same fingerprint, or reuses a
    finished phase 1.
    """
    network, kept = training.network, training.kept
    found = _resume(training.checkpoint, fingerprint=training.fingerprint)
    if found is None and kept is not None and len(phases) == 1:
        with in_use(kept, limit=LIMIT):
            found = _resume(kept, fingerprint=kept.stem)
    progress = Progress() if found is None else found.progress
    for phase in phases:
        if phase.number < progress.phase:
            continue
        if phase.number > progress.phase:
            progress.begin(phase.number)
        loop = Loop(training, phase=phase, trainer=_compiled(training, phase=phase), progress=progress)
        if found is not None:
            loop.restore(found)
            found = None
        elif phase.number == 2:
            shift_bias(network, masses=[part.sampler.label_masses() for part in (phases[0], phase)])
        elif training.settings.start == "paper":  # paper section 4: the bias starts at the log of the label frequencies
            masses = phase.sampler.label_masses()
            shift_bias(network, masses=[np.ones_like(masses), masses])
        loop.run()
        if kept is not None and phase.number == 1 and len(phases) > 1:
            with in_use(kept, limit=LIMIT):
                loop.save(kept)
        assign_values(network.variables, loop.best)
    return progress


def _resume(path: Path, *, fingerprint: str) -> Checkpoint | None:
    """The checkpoint to resume from, if there is one with the same settings and data."""
    found = read_checkpoint(path)
    if found is not None and found.fingerprint != fingerprint:
        log.info("%s: has other settings or data; starting a new training", path)
        return None
    if found is not None:
        log.info("%s: resuming from phase %d, step %d", path, found.progress.phase, found.progress.step)
    return found


def _compiled(training: Training, *, phase: Phase) -> keras.Model:
    """The network up to its scores, compiled for training; in phase 2 all layers except the output layer are frozen."""
    network, devices, jax = training.network, training.devices, keras.backend.backend() == "jax"
    last = output_layer(network)
    network.trainable = True
    for layer in _layers(network):
        layer.trainable = phase.number == 1 or layer is last
    with devices.scope():
        trainer = score_model(network)
        loss = build_loss(training.settings.loss, classes=trainer.output_shape[-1], reduction=devices.reduction)
        wide = [layer.kernel for layer in _layers(trainer) if isinstance(layer, WideOutput) and layer.trainable]
        optimizer = Descent(training.settings, phase.number).build(trainer.trainable_variables, wide=wide)
        # On a CPU, XLA slows down bfloat16 steps and does not speed up float32 steps (benchmarks/).
        trainer.compile(optimizer=optimizer, loss=loss, jit_compile=jax)
        if jax:
            # Validation's compiled step depends on which variables are trained; on several devices phase 1's would fail here.
            network.make_predict_function(force=True)
    return trainer


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a network, including those of nested networks."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def shift_bias(network: keras.Model, *, masses: Sequence[np.ndarray]) -> None:
    """Shifts the softmax bias by log(after) - log(before), given the label frequencies in the loss (paper section 3.2)."""
    before, after = (np.log(mass) for mass in masses)
    bias = output_layer(network).bias
    bias.assign(keras.ops.convert_to_numpy(bias.value) + (after - before).astype(np.float32))
