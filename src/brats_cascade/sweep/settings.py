"""From the keys of `train` to the plain values that training takes."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from brats_cascade.params import TrainParams

if TYPE_CHECKING:
    from brats_cascade.models.two_path import Style
    from brats_cascade.training.recipe import Recipe


def style_of(train: TrainParams) -> "Style":
    """The network's part."""
    from brats_cascade.models.two_path import Style

    return Style(**_shared(Style, train))


def recipe_of(train: TrainParams) -> "Recipe":
    """The training's part."""
    from brats_cascade.training.descent import Descent
    from brats_cascade.training.recipe import Recipe

    descent = Descent(**_shared(Descent, train))
    return Recipe(descent=descent, start_bias=train.start == "paper", **_shared(Recipe, train))


def _shared(kind: Any, train: TrainParams) -> dict[str, Any]:
    """The keys that a dataclass has, too."""
    return train.model_dump(include={field.name for field in fields(kind)} & set(TrainParams.model_fields))
