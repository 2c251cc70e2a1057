"""The training loop of one phase: steps, validation rounds, checkpoints, early stopping."""

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
from brats_cascade.provenance import accelerators, usable_cores
from brats_cascade.training.averaging import Average
from brats_cascade.training.batches import Prefetch, Sampler
from brats_cascade.training.checkpoint import Checkpoint, assign_values, try_save_checkpoint, values_of
from brats_cascade.training.descent import Descent
from brats_cascade.training.devices import Devices
from brats_cascade.training.progress import Progress

THREADS = 3


@dataclass(frozen=True)
class Watch:
    """What looks after a training.

    Attributes:
        validate: Gives validation numbers of the network as it is: "complete", "core", "enhancing" (Dice), and others.
        checkpoint_steps: Steps between checkpoints; there is always one after a validation round. 0: only there.
        patience: A phase ends after this many validation rounds without a better score; 0 never ends it early.
        keep: Weights of which round are kept: "best" or "last".
        ema: Decay of the moving average of the weights that is validated and kept; 0: the weights themselves.
        on_check: Called with the whole history after every validation round, once it is in the checkpoint.
    """

    validate: Callable[[], dict[str, float]]
    checkpoint_steps: int = 0
    patience: int = 0
    keep: str = "best"
    ema: float = 0.0
    on_check: Callable[[list[dict[str, float]]], None] | None = None


class Loop:
    """Runs one phase; everything that a rerun needs is in `progress`, the trainer's variables and `best`.

    Args:
        trainer: Compiled, from the network's inputs to scores; shares the network's weights.
        network: What is validated and kept.
        descent: Learning rate and momentum of every step.
        watch: Validation, checkpoints, early stopping.
        progress: Where the training stands; changed in place.
        path: Of the checkpoint.
        fingerprint: Kept in the checkpoint.
        devices: What computes.
    """

    def __init__(
        self,
        trainer: keras.Model,
        *,
        network: keras.Model,
        descent: Descent,
        watch: Watch,
        progress: Progress,
        path: Path,
        fingerprint: str,
        devices: Devices,
    ) -> None:
        self._trainer, self._network, self._descent, self._watch = trainer, network, descent, watch
        self._progress, self._path, self._fingerprint, self._devices = progress, path, fingerprint, devices
        self._step = devices.stepper(trainer)
        self.best: list[np.ndarray] = values_of(network.variables)
        self._average = Average(network, decay=watch.ema)

    def restore(self, found: Checkpoint) -> None:
        """Puts a checkpoint's weights, optimiser state, moving average and best weights back."""
        assign_values(self._variables, found.groups["last"])
        self.best, self._average.values = found.groups["best"], found.groups.get("average", [])

    @property
    def _variables(self) -> list[Any]:
        return [*self._trainer.variables, *self._trainer.optimizer.variables]

    def run(self, sampler: Sampler, *, steps: int, checks: int) -> None:
        """Trains from where `progress` stands to the phase's last step, or until patience ends.

        Args:
            sampler: Batches.
            steps: Of the phase.
            checks: Validation rounds, evenly spaced.

        Raises:
            UserError: The loss is no longer finite.
        """
        progress, last = self._progress, 0 if self._progress.ended else steps
        marks = {round(steps * (check + 1) / checks): check + 1 for check in range(checks)}
        started = time.perf_counter() - progress.seconds
        bar = tqdm(total=steps, initial=progress.step, desc=f"phase {progress.phase}", unit="step", mininterval=2)
        for step, batch in Prefetch(sampler, first=progress.step, last=last, threads=_threads()):
            self._descent.set_step(self._trainer.optimizer, step=step, steps=steps)
            self._count(self._step(batch), pixels=int(np.count_nonzero(batch.weights)))
            self._average.update(step)
            bar.update()
            check = marks.get(progress.step)
            if check is not None:
                row = self._check(check, rate=self._descent.rate(step, steps=steps), started=started)
                bar.set_postfix(loss=f"{row['loss']:.3f}", dice=f"{_score(row):.3f}")
            elif self._watch.checkpoint_steps and progress.step % self._watch.checkpoint_steps == 0:
                progress.seconds = time.perf_counter() - started
                self._save()
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

    def _check(self, check: int, *, rate: float, started: float) -> dict[str, float]:
        """One validation round: a row of the history, the best weights, a checkpoint."""
        progress, watch = self._progress, self._watch
        with self._average.in_place():
            scores, checked = watch.validate(), values_of(self._network.variables)
        progress.seconds = time.perf_counter() - started
        row = {
            "phase": progress.phase,
            "check": check,
            "step": progress.before + progress.step,
            "loss": progress.loss_sum / max(1, progress.losses),
            **{f"validation_{name}": value for name, value in scores.items()},
            "learning_rate": rate,
            "seconds": progress.seconds,
        }
        progress.history.append(row)
        progress.loss_sum, progress.losses = 0.0, 0
        score = _score(row)
        if score > progress.best or watch.keep == "last":
            self.best = checked
        progress.stale = 0 if score > progress.best else progress.stale + 1
        progress.best = max(progress.best, score)
        progress.ended = bool(watch.patience) and progress.stale >= watch.patience
        self._save()
        if watch.on_check is not None:
            watch.on_check(progress.history)
        return row

    def keep(self, path: Path) -> None:
        """Writes where the training stands to another checkpoint too, under that file's stem as its fingerprint."""
        self._save(path, fingerprint=path.stem)

    def _save(self, path: Path | None = None, *, fingerprint: str = "") -> None:
        if not self._devices.writes:
            return
        state = {**self._progress.as_dict(), "fingerprint": fingerprint or self._fingerprint}
        groups = {"last": values_of(self._variables), "best": self.best, "average": self._average.values}
        try_save_checkpoint(path or self._path, groups=groups, state=state)


def _threads() -> int:
    """For batches: a GPU outruns one; on a processor they would take cores from the network."""
    return min(THREADS, usable_cores()) if accelerators() else 1


def _score(row: dict[str, float]) -> float:
    """What decides which weights are best: mean validation Dice over the regions."""
    return float(np.mean([row[f"validation_{region}"] for region in REGIONS]))
