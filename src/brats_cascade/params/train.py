"""The settings of a training, and the base class of all blocks of params.yaml."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from brats_cascade.errors import UserError

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
AboveZero = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _not_one(value: int) -> int:
    if value == 1:
        raise ValueError("expected 0 (off) or at least 2")
    return value


Folds = Annotated[int, Field(ge=0), AfterValidator(_not_one)]


class Stage(BaseModel):
    """A block of params.yaml: frozen, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in (int, float):
            raise ValueError("expected a number")
        return value


class TrainParams(Stage):
    """One training run: the defaults of `train` with an experiment's overrides.

    Keys with a default were added later than the others, so the record of an earlier training does not have them.
    """

    seed: Seed
    width: Annotated[float, Field(gt=0, le=4)]
    maxout: Annotated[int, Field(ge=1, le=64)]
    normalisation: Literal["batch", "dropout", "none"]
    pooling: Literal["max", "conv"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    start: Literal["he", "paper"]
    cascade: Literal["frozen", "joint"]
    cnn1_output: Literal["probabilities", "relu_batch"]
    cnn1_folds: Folds = 0
    cnn1_steps: Count = 0
    cnn1_dropout: Share = 0.0
    procedure: Literal["two_phase", "single"]
    class_weights: Literal["slice", "cohort", "none"]
    weight_power: Share
    sampler: Literal["tiles", "patches"]
    tile: Annotated[int, Field(ge=8)]
    loss_on: Literal["brain", "centres"]
    patch_order: Literal["random", "slices"]
    slice_epochs: Positive
    batch: Positive
    steps: Positive
    phase2_steps: Count
    loss: Literal["cross_entropy", "cross_entropy_dice"] = "cross_entropy"
    optimizer: Literal["adam", "sgd"]
    learning_rate: AboveZero
    schedule: Literal["cosine", "linear", "exponential", "constant"]
    final_rate: Share
    warmup: Share
    phase2_rate: AboveZero
    output_rate: AboveZero
    momentum_start: Annotated[float, Field(ge=0, lt=1)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    clip_norm: NotNegative
    l1: NotNegative
    l2: NotNegative
    kernel_bound: NotNegative
    flip: bool
    intensity: NotNegative
    deformation: Share = 0.0
    scanner: Share = 0.0
    axes: Literal["one", "all"] = "one"
    checks: Positive
    patience: Count
    keep: Literal["best", "last"] = "best"
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    checkpoint_steps: Count
    precision: Literal["float32", "bfloat16", "auto"]
    devices: Literal["one", "local", "workers"]

    @property
    def phases(self) -> str:
        """The procedure, or "one_phase" for the first of two phases alone."""
        return "one_phase" if self.procedure == "two_phase" and not self.phase2_steps else self.procedure

    @field_validator("final_rate")
    @classmethod
    def _not_zero_by_factors(cls, value: float, info: ValidationInfo) -> float:
        if value == 0 and info.data.get("schedule") == "exponential":
            raise ValueError("expected a number above 0 with schedule: exponential")
        return value


def apply_overrides(train: TrainParams, overrides: Mapping[str, Any], *, where: str) -> TrainParams:
    """Settings with some values replaced; `where` names the values' place in messages.

    Raises:
        UserError: A key is unknown (the message gives the nearest known one), or a value is invalid.
    """
    for key in overrides:
        if key not in TrainParams.model_fields:
            raise UserError(f"{where}: train has no key {key!r}; {nearest(key, TrainParams.model_fields)}")
    try:
        return TrainParams.model_validate({**train.model_dump(), **overrides})
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{where}.{first['loc'][0]}: {problem_of(first)}") from None


def problem_of(error: Mapping[str, Any]) -> str:
    """What pydantic expected and found, from one of its errors."""
    found = "nothing" if error["input"] is None else repr(error["input"])[:100]
    return f"{error['msg'].removeprefix('Value error, ')}, found {found}"


def nearest(key: object, known: Iterable[str]) -> str:
    """A hint for an unknown key: the nearest known one, or all known ones."""
    names = list(known)
    near = difflib.get_close_matches(str(key), names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(names)}"
