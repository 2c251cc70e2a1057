"""The phases of a training: phase 1 trains all layers, phase 2 the output layer alone (paper section 3.2)."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from brats_cascade.models.cascade import output_layer, score_model
from brats_cascade.models.layers import WideOutput
from brats_cascade.shared import in_use
from brats_cascade.training.batches import Sampler
from brats_cascade.training.checkpoint import Checkpoint, assign_values, read_checkpoint
from brats_cascade.training.descent import Descent
from brats_cascade.training.devices import ONE_DEVICE, Devices
from brats_cascade.training.loop import Loop, Watch
from brats_cascade.training.losses import build_loss
from brats_cascade.training.progress import Progress

log = logging.getLogger(__name__)
CHECKPOINT = "checkpoint.npz"
LIMIT = 2**30  # bytes of finished phases 1; at the paper's width one takes about 15 MB


@dataclass(frozen=True)
class Phase:
    """What one phase does.

    Attributes:
        number: 1, or 2 for the output layer alone.
        sampler: Its batches.
        steps: Number of steps.
        checks: Validation rounds, evenly spaced, the last one at the end.
        start_bias: Start with the softmax bias at the log of the label frequencies (paper section 4).
    """

    number: int
    sampler: Sampler
    steps: int
    checks: int
    start_bias: bool = False


def train_phases(
    network: keras.Model,
    *,
    phases: Sequence[Phase],
    descent: Descent,
    watch: Watch,
    folder: Path,
    fingerprint: str,
    devices: Devices = ONE_DEVICE,
    kept: Path | None = None,
) -> Progress:
    """Trains a network through its phases; leaves it with the best weights of the last one, and gives its progress.

    The best weights are those with the highest mean validation Dice over the regions, or, if `watch` keeps the last ones,
    those of the last validation round. Training goes on from the checkpoint in `folder` if its fingerprint, which stands for
    everything that decides the outcome, is this one. In `kept` a finished phase 1 stays for a training of that phase alone,
    which then has nothing left to do; the file's stem stands for everything that decides the phase.
    """
    path = folder / CHECKPOINT
    found, progress = _resume(path, fingerprint=fingerprint)
    if found is None and kept is not None and len(phases) == 1:
        with in_use(kept, limit=LIMIT):
            found, progress = _resume(kept, fingerprint=kept.stem)
    for phase in phases:
        if phase.number < progress.phase:
            continue
        if phase.number > progress.phase:
            progress.begin(phase.number)
        down = descent.for_phase(phase.number)
        trainer = _compiled(network, phase=phase, descent=down, devices=devices)
        loop = Loop(
            trainer, network=network, descent=down, watch=watch, progress=progress, path=path,
            fingerprint=fingerprint, devices=devices,
        )  # fmt: skip
        if found is not None:
            loop.restore(found)
            found = None
        elif phase.number == 2:
            shift_bias(network, masses=[part.sampler.label_masses() for part in (phases[0], phase)])
        elif phase.start_bias:
            bias = output_layer(network).bias
            shift_bias(network, masses=[np.ones(bias.shape[0]), phase.sampler.label_masses()])
        loop.run(phase.sampler, steps=phase.steps, checks=phase.checks)
        if kept is not None and phase.number == 1 and len(phases) > 1:
            with in_use(kept, limit=LIMIT):
                loop.keep(kept)
        assign_values(network.variables, loop.best)
    return progress


def _resume(path: Path, *, fingerprint: str) -> tuple[Checkpoint | None, Progress]:
    """The checkpoint to go on from and where it stands, or none and the start."""
    found = read_checkpoint(path)
    if found is None:
        return None, Progress()
    if found.state.get("fingerprint") != fingerprint:
        log.info("%s: of other settings or data; the training starts anew", path)
        return None, Progress()
    progress = Progress(**{key: value for key, value in found.state.items() if key != "fingerprint"})
    log.info("%s: going on from phase %d, step %d", path, progress.phase, progress.step)
    return found, progress


def _compiled(network: keras.Model, *, phase: Phase, descent: Descent, devices: Devices) -> keras.Model:
    """The network up to its scores, ready to train; in phase 2 every layer but the output layer is frozen."""
    last = output_layer(network)
    _set_trainable(network, keep=lambda layer: phase.number == 1 or layer is last)
    with devices.scope():
        trainer = score_model(network)
        loss = build_loss(descent.loss, classes=trainer.output_shape[-1], reduction=devices.reduction)
        # XLA makes bfloat16 steps slower on a CPU and float32 ones no faster (benchmarks/).
        trainer.compile(optimizer=descent.build(), loss=loss, jit_compile=keras.backend.backend() == "jax")
        wide = [layer.kernel for layer in _wide_layers(trainer) if layer.trainable]
        descent.attach(trainer.optimizer, weights=trainer.trainable_variables, wide=wide)
        if keras.backend.backend() == "jax":
            # Validation's compiled step names which variables are trained; over several devices one made in phase 1 fails now.
            network.make_predict_function(force=True)
    return trainer


def _set_trainable(model: keras.Model, *, keep: Callable[[keras.layers.Layer], bool]) -> None:
    model.trainable = True
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _set_trainable(layer, keep=keep)
        else:
            layer.trainable = keep(layer)


def _wide_layers(model: keras.Model) -> Iterator[WideOutput]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _wide_layers(layer)
        elif isinstance(layer, WideOutput):
            yield layer


def shift_bias(network: keras.Model, *, masses: Sequence[np.ndarray]) -> None:
    """Moves the softmax bias from one set of label frequencies to another (paper section 3.2).

    Args:
        network: Whose output layer's bias is moved by log(after) - log(before).
        masses: Before and after: the frequencies that the loss sees, from `Sampler.label_masses`.
    """
    before, after = (np.log(mass) for mass in masses)
    bias = output_layer(network).bias
    bias.assign(keras.ops.convert_to_numpy(bias.value) + (after - before).astype(np.float32))
