"""Where a training stands: plain values only, so that a checkpoint can hold it."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        phase: Number of the phase that is being trained.
        step: Steps done in it; the next batch is this one.
        before: Steps done in the phases before.
        pixels: Labelled pixels seen.
        seconds: Time spent, also before a kill.
        best: Best validation score of this phase so far, -1 before the first.
        stale: Validation rounds since then.
        ended: This phase was ended early.
        loss_sum: Sum of the losses since the last validation round.
        losses: Their number.
        history: One row per validation round.
    """

    phase: int = 1
    step: int = 0
    before: int = 0
    pixels: int = 0
    seconds: float = 0.0
    best: float = -1.0
    stale: int = 0
    ended: bool = False
    loss_sum: float = 0.0
    losses: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def begin(self, phase: int) -> None:
        """Goes on to the next phase."""
        self.before += self.step
        self.phase, self.step, self.best, self.stale, self.ended = phase, 0, -1.0, 0, False
        self.loss_sum, self.losses = 0.0, 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
