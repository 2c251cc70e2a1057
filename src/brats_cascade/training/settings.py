"""The parts of a training's settings that its objects take: the network's style, the optimiser's descent."""

from dataclasses import fields
from typing import Any

from brats_cascade.models.two_path import Style
from brats_cascade.params.train import TrainParams
from brats_cascade.training.descent import Descent


def style_of(settings: TrainParams) -> Style:
    """The network's part."""
    return Style(**_shared(Style, settings=settings))


def descent_of(settings: TrainParams) -> Descent:
    """The optimiser's part."""
    return Descent(**_shared(Descent, settings=settings))


def phase1_of(settings: TrainParams) -> TrainParams:
    """Settings of which only those that decide phase 1 differ between two trainings."""
    return settings.model_copy(update={"phase2_steps": 0, "phase2_rate": 1.0})


def _shared(kind: Any, *, settings: TrainParams) -> dict[str, Any]:
    """The keys of `train` that a dataclass has, too."""
    return settings.model_dump(include={field.name for field in fields(kind)})
