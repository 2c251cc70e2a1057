"""The training loop of one phase: steps, validation rounds, checkpoints, early stopping.

Keras's `fit` with callbacks is not used, because a killed training must resume at any step and end with the same bits:
`BackupAndRestore` resumes only at the start of an epoch, and `SwapEMAWeights` omits the statistics of batch normalisation.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from brats_cascade.errors import UserError
from brats_cascade.labels import REGIONS
from brats_cascade.params.train import TrainParams
from brats_cascade.provenance import accelerators, usable_cores
from brats_cascade.training.averaging import Average
from brats_cascade.training.batches import Sampler, prefetch
from brats_cascade.training.checkpoint import Checkpoint, Progress, assign_values, save_checkpoint, values_of
from brats_cascade.training.descent import Descent
from brats_cascade.training.devices import ONE_DEVICE, Devices


@dataclass(frozen=True)
class Training:
    """The parts of one network's training that are the same in all phases.

    Attributes:
        network: The network that is validated and kept.
        settings: The training settings.
        validate: Returns validation numbers of the network: "complete", "core", "enhancing" (Dice), and others.
        checkpoint: The checkpoint file.
        fingerprint: A hash of everything that decides the outcome; stored in the checkpoint.
        on_check: Called with the whole history after every validation round, once it is in the checkpoint.
        devices: The devices that compute.
        kept: File in which a finished phase 1 is kept for trainings that consist of that phase alone; its stem is a hash
            of everything that decides the phase. None: it is not kept.
    """

    network: keras.Model
    settings: TrainParams
    validate: Callable[[], dict[str, float]]
    checkpoint: Path
    fingerprint: str
    on_check: Callable[[list[dict[str, float]]], None] | None = None
    devices: Devices = ONE_DEVICE
    kept: Path | None = None


@dataclass(frozen=True)
class Phase:
    """Phase 1, or phase 2 for the output layer alone: its batches, number of steps and validation rounds, evenly spaced."""

    number: int
    sampler: Sampler
    steps: int
    checks: int


class Loop:
    """Runs one phase. The state to resume is in `progress`, the trainer's variables and `best`, all of which it updates."""

    def __init__(self, training: Training, *, phase: Phase, trainer: keras.Model, progress: Progress) -> None:
        self._training, self._phase, self._trainer, self._progress = training, phase, trainer, progress
        self._descent = Descent(training.settings, phase.number)
        self._step = training.devices.stepper(trainer)
        self._variables: list[Any] = [*trainer.variables, *trainer.optimizer.variables]
        self.best: list[np.ndarray] = values_of(training.network.variables)
        self._marks = {round(phase.steps * (check + 1) / phase.checks): check + 1 for check in range(phase.checks)}
        self._average = Average(training.network, decay=training.settings.ema, also=self._marks)
        self._started = (0.0, 0.0)  # wall and processor time, as if all steps so far had been done in this process

    def restore(self, found: Checkpoint) -> None:
        """Restores weights, optimiser state, moving average and best weights from a checkpoint."""
        assign_values(self._variables, found.groups["last"])
        self.best, self._average.values = list(found.groups["best"]), list(found.groups.get("average", []))

    def run(self) -> None:
        """Trains from the current `progress` to the last step of the phase, or until early stopping.

        Raises:
            UserError: The loss is no longer finite.
        """
        progress, phase, steps = self._progress, self._phase, self._phase.steps
        every, last = self._training.settings.checkpoint_steps, 0 if progress.ended else steps
        self._started = time.perf_counter() - progress.seconds, time.process_time() - progress.cpu_seconds
        bar = tqdm(total=steps, initial=progress.step, desc=f"phase {phase.number}", unit="step", mininterval=2)
        for step, batch in prefetch(phase.sampler, first=progress.step, last=last, threads=_threads()):
            self._descent.set_step(self._trainer.optimizer, step=step, steps=steps)
            self._count(self._step(batch), pixels=int(np.count_nonzero(batch.weights)))
            self._average.update(progress.step)
            bar.update()
            self._take_time()
            if progress.step in self._marks:
                row = self._check(self._marks[progress.step])
                bar.set_postfix(loss=f"{row['loss']:.3f}", dice=f"{_score(row):.3f}")
            elif every and progress.step % every == 0:
                self.save()
            if progress.ended:
                break
        bar.close()

    def _count(self, loss: float, *, pixels: int) -> None:
        progress = self._progress
        if not math.isfinite(loss):
            raise UserError(
                f"training: the loss is {loss} at step {progress.step} of phase {progress.phase}, expected a finite "
                "number; lower train.learning_rate or set train.clip_norm to 1"
            )
        progress.loss_sum += loss
        progress.losses += 1
        progress.pixels += pixels
        progress.step += 1

    def _take_time(self) -> None:
        wall, processor = self._started
        self._progress.seconds, self._progress.cpu_seconds = time.perf_counter() - wall, time.process_time() - processor

    def _check(self, check: int) -> dict[str, float]:
        """One validation round: adds a row to the history, updates the best weights, and writes a checkpoint."""
        progress, training, settings = self._progress, self._training, self._training.settings
        with self._average.in_place():
            scores, checked = training.validate(), values_of(training.network.variables)
        self._take_time()
        row = {
            "phase": progress.phase,
            "check": check,
            "step": progress.before + progress.step,
            "loss": progress.loss_sum / max(1, progress.losses),
            **{f"validation_{name}": value for name, value in scores.items()},
            "learning_rate": self._descent.rate(progress.step - 1, steps=self._phase.steps),
            "seconds": progress.seconds,
        }
        progress.history.append(row)
        progress.loss_sum, progress.losses = 0.0, 0
        score = _score(row)
        if score > progress.best or settings.keep == "last":
            self.best = checked
        progress.stale = 0 if score > progress.best else progress.stale + 1
        progress.best = max(progress.best, score)
        progress.ended = bool(settings.patience) and progress.stale >= settings.patience
        self.save()
        if training.on_check is not None:
            training.on_check(progress.history)
        return row

    def save(self, path: Path | None = None) -> None:
        """Writes the checkpoint; a checkpoint in another file has that file's stem as its fingerprint."""
        training = self._training
        if training.devices.writes:
            groups = {"last": values_of(self._variables), "best": self.best, "average": self._average.values}
            found = Checkpoint(self._progress, path.stem if path else training.fingerprint, groups)
            save_checkpoint(path or training.checkpoint, found)


def _threads() -> int:
    """Number of threads for batches: more for a GPU, which consumes them faster; on a CPU they would slow down the network."""
    return min(3, usable_cores()) if accelerators() else 1


def _score(row: dict[str, float]) -> float:
    """The score that selects the best weights: mean validation Dice over the regions."""
    return float(np.mean([row[f"validation_{region}"] for region in REGIONS]))
