"""How weights are updated: optimiser, learning-rate schedule, momentum ramp."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from brats_cascade.params.train import TrainParams
from brats_cascade.training.optimizers import RampSGD, RateShareAdam


@dataclass(frozen=True)
class Descent:
    """How weights are updated in one phase (docs/params.md explains the settings).

    Phase 2 has its own learning rate: its output layer sums 98,784 inputs, and a rate that suits all layers together makes it
    unstable. The 21x21 output kernel has its own rate for the same reason: with Adam each weight moves by about the rate, so
    a score could change by tens in one step.
    """

    settings: TrainParams
    phase: int = 1

    @property
    def first_rate(self) -> float:
        """The learning rate at the start of the phase, before any warm-up."""
        return self.settings.learning_rate * (self.settings.phase2_rate if self.phase == 2 else 1.0)

    def build(self, weights: Iterable[Any], *, wide: Iterable[Any] = ()) -> RateShareAdam | RampSGD:
        """A new optimiser for these weights; the `wide` weights among them move at `output_rate`."""
        own, limit = self.settings, self.settings.clip_norm or None
        made: RateShareAdam | RampSGD
        if own.optimizer == "adam":
            made = RateShareAdam(self.first_rate, global_clipnorm=limit)
        else:
            made = RampSGD(self.first_rate, momentum=own.momentum_start, global_clipnorm=limit)
        made.build(list(weights))
        made.slow_down(wide, share=own.output_rate)
        return made

    def rate(self, step: int, *, steps: int) -> float:
        """The learning rate at a step of a phase; `final_rate` is the last rate relative to the first."""
        own, share = self.settings, step / max(1, steps - 1)
        if own.schedule == "cosine":
            factor = own.final_rate + (1 - own.final_rate) * 0.5 * (1 + math.cos(math.pi * share))
        elif own.schedule == "linear":
            factor = 1 + (own.final_rate - 1) * share
        elif own.schedule == "exponential":  # the paper's decay, spread over the whole phase
            factor = own.final_rate**share
        else:
            factor = 1.0
        return self.first_rate * factor * min(1.0, (step + 1) / max(1.0, own.warmup * steps))

    def momentum(self, step: int, *, steps: int) -> float:
        """The momentum at a step of a phase, rising linearly (the paper states 0.5 to 0.9, but not the shape)."""
        first = self.settings.momentum_start
        return first + (self.settings.momentum - first) * (step / max(1, steps - 1))

    def set_step(self, optimizer: RateShareAdam | RampSGD, *, step: int, steps: int) -> None:
        """Sets an optimiser made by `build` to a step's rate and momentum."""
        optimizer.learning_rate = self.rate(step, steps=steps)
        if isinstance(optimizer, RampSGD):
            optimizer.momentum = self.momentum(step, steps=steps)
