"""How the weights move: optimiser, learning-rate schedule, momentum ramp."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import keras

from brats_cascade.training.optimizers import RampSGD, RateShareAdam


@dataclass(frozen=True)
class Descent:
    """How the weights move during one phase.

    Attributes:
        optimizer: "adam" or "sgd".
        learning_rate: At the start of phase 1.
        final_rate: At its end, as a share of the first.
        momentum: Of "sgd", at the end of the ramp.
        clip_norm: Gradients are scaled to at most this global norm; 0 leaves them.
        momentum_start: Of "sgd", at the first step of a phase; it rises linearly to `momentum` at the last one (the
            paper's ramp is 0.5 to 0.9, its shape is not stated).
        schedule: From the first rate to the last: "cosine" (half a cosine), "exponential" (the same factor each step: the
            paper's decay factor, taken over the whole phase), "linear", or "constant" (`final_rate` is not used).
        warmup: Share of a phase's steps over which the rate rises linearly to the schedule's.
        phase2_rate: Phase 2 starts at this share of `learning_rate`: its output layer alone sums 98,784 inputs, and a rate
            that suits all layers together shakes it.
        output_rate: Share of the learning rate for the 21x21 output kernel, in both phases: with Adam each of its weights moves
            by about the rate, so that a score, a sum of 98,784 inputs, could move by tens in one step. 1 leaves it.
        loss: What is minimised, a kind of `build_loss`.
    """

    optimizer: str
    learning_rate: float
    final_rate: float
    momentum: float
    clip_norm: float
    momentum_start: float = 0.5
    schedule: str = "cosine"
    warmup: float = 0.0
    phase2_rate: float = 1.0
    output_rate: float = 1.0
    loss: str = "cross_entropy"

    def for_phase(self, number: int) -> "Descent":
        """The descent of phase 1 or 2: the latter starts at its own rate."""
        return replace(self, learning_rate=self.learning_rate * self.phase2_rate) if number == 2 else self

    def build(self) -> RateShareAdam | RampSGD:
        """A new optimiser.

        Raises:
            ValueError: No optimiser has this name.
        """
        limit = self.clip_norm or None
        if self.optimizer == "adam":
            return RateShareAdam(self.learning_rate, global_clipnorm=limit)
        if self.optimizer == "sgd":
            return RampSGD(self.learning_rate, momentum=self.momentum_start, global_clipnorm=limit)
        raise ValueError(f"expected optimizer 'adam' or 'sgd', received {self.optimizer!r}")

    def attach(self, optimizer: RateShareAdam | RampSGD, *, weights: Iterable[Any], wide: Iterable[Any]) -> None:
        """Makes an optimiser's state for the weights that it will move.

        Args:
            optimizer: What `build` gave.
            weights: All trained weights.
            wide: Those of them that move at `output_rate`.
        """
        optimizer.build(list(weights))
        optimizer.slow_down(wide, share=self.output_rate)

    def rate(self, step: int, *, steps: int) -> float:
        """Learning rate of a step of a phase.

        Raises:
            ValueError: No schedule has this name, or an exponential one to zero.
        """
        share = step / max(1, steps - 1)
        if self.schedule == "cosine":
            factor = self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * share))
        elif self.schedule == "linear":
            factor = 1 + (self.final_rate - 1) * share
        elif self.schedule == "exponential" and self.final_rate > 0:
            factor = self.final_rate**share
        elif self.schedule == "constant":
            factor = 1.0
        else:
            raise ValueError(
                "expected schedule 'cosine', 'linear', 'constant', or 'exponential' with final_rate > 0, received "
                f"{self.schedule!r} with final_rate={self.final_rate}"
            )
        rise = min(1.0, (step + 1) / max(1.0, self.warmup * steps))
        return self.learning_rate * factor * rise

    def momentum_at(self, step: int, *, steps: int) -> float:
        """Momentum of a step of a phase, rising linearly."""
        share = step / max(1, steps - 1)
        return self.momentum_start + (self.momentum - self.momentum_start) * share

    def set_step(self, optimizer: keras.optimizers.Optimizer, *, step: int, steps: int) -> None:
        """Sets an optimiser that `build` made to a step's rate and momentum."""
        optimizer.learning_rate = self.rate(step, steps=steps)
        if isinstance(optimizer, RampSGD):
            optimizer.momentum = self.momentum_at(step, steps=steps)
