"""What a trained network expects and gives: model.json, beside its weights."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from brats_cascade import MODALITIES
from brats_cascade.models.cascade import GEOMETRY, Geometry
from brats_cascade.models.training_data import TrainingData
from brats_cascade.models.two_path import Style

Values = TypeVar("Values", bound=Collection[Any])
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
STYLES = ("style", "cnn1_style")


def _known(names: Collection[str]) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"expected one of {', '.join(names)}")
        return name

    return check


def _distinct(values: Values) -> Values:
    if len(set(values)) != len(values):
        raise ValueError("expected no value twice")
    return values


class _Style(BaseModel, extra="forbid", strict=True):
    """What a Style may hold, and its defaults: networks open where there is no pydantic, so it is said here."""

    width: Annotated[float, Field(gt=0, le=4)] = Style.width
    maxout: Annotated[int, Field(ge=1, le=64)] = Style.maxout
    normalisation: Literal["batch", "dropout", "none"] = "batch"
    pooling: Literal["max", "conv"] = "max"
    dropout: Annotated[float, Field(ge=0, lt=1)] = Style.dropout
    l1: Weight = Style.l1
    l2: Weight = Style.l2
    kernel_bound: Weight = Style.kernel_bound
    cnn1_output: Literal["probabilities", "relu_batch"] = "probabilities"
    start: Literal["he", "paper"] = "he"
    precision: Literal["float32", "bfloat16"] = "float32"


class _Record(BaseModel, extra="forbid", strict=True):
    """What model.json may hold."""

    architecture: Annotated[str, AfterValidator(_known(GEOMETRY))]
    classes: Annotated[tuple[Annotated[int, Field(ge=0, le=4)], ...], Field(min_length=2), AfterValidator(_distinct)]
    modalities: Annotated[
        tuple[Annotated[str, AfterValidator(_known(MODALITIES))], ...], Field(min_length=1), AfterValidator(_distinct)
    ]
    clip: Annotated[float, Field(ge=0, lt=0.5)]
    style: _Style
    cnn1_style: _Style | None
    n4: bool = False
    zscore: Literal["brain", "volume"] = "brain"
    axis: Literal["axial", "coronal", "sagittal"] = "axial"
    data: TrainingData | None = None


@dataclass(frozen=True)
class Contract:
    """What a network expects and gives.

    Attributes:
        architecture: A key of GEOMETRY.
        classes: Canonical label of each output.
        modalities: Channels of the image, in order.
        clip: Share of intensities clipped at either end before the z-score.
        style: Of the last CNN.
        cnn1_style: Of a cascade's CNN 1, or None.
        n4: Whether T1 and T1c had their bias field corrected.
        zscore: Over what the z-score was taken, as `prepare_case` has it.
        axis: Across what the slices were cut, likewise.
        data: What it was trained on; None where that was not recorded.
    """

    architecture: str
    classes: tuple[int, ...]
    modalities: tuple[str, ...]
    clip: float
    style: Style
    cnn1_style: Style | None
    n4: bool = False
    zscore: str = "brain"
    axis: str = "axial"
    data: TrainingData | None = None

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How a case's files become what the network was trained on; arguments of `prepare_case`."""
        return {"clip": self.clip, "n4": self.n4, "zscore": self.zscore, "axis": self.axis}

    @property
    def geometry(self) -> Geometry:
        """Where the network looks."""
        return GEOMETRY[self.architecture]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Contract":
        """The inverse of `as_dict`.

        Raises:
            ValueError: A key too many or too few, or a value that no training writes; the message names it.
        """
        plain = dict(values)
        if "first_style" in plain:  # its name in older records
            plain["cnn1_style"] = plain.pop("first_style")
        try:
            found = _Record.model_validate_json(json.dumps(plain))
        except ValidationError as error:
            [first, *_] = error.errors(include_url=False, include_context=False)
            place = ".".join(map(str, first["loc"]))
            raise ValueError(f"{place}: {first['msg']}, found {str(first['input'])[:60]}") from None
        styles = {name: own and Style(**own.model_dump()) for name, own in found if name in STYLES}
        return cls(**{**dict(found), **styles})
