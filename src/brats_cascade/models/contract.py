"""A trained network's interface: model.json, next to its weights."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, GetPydanticSchema, TypeAdapter, ValidationError, create_model

from brats_cascade import MODALITIES
from brats_cascade.models.cascade import GEOMETRY, Geometry
from brats_cascade.models.training_data import TrainingData
from brats_cascade.models.two_path import Style
from brats_cascade.params.blocks import Axis, Clip, ZScore
from brats_cascade.params.train import TrainParams

Values = TypeVar("Values", bound=Collection[Any])
STRICT = ConfigDict(extra="forbid", strict=True)


def _known(names: Collection[str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"expected one of {', '.join(names)}")
        return name

    return AfterValidator(check)


def _distinct(values: Values) -> Values:
    if len(set(values)) != len(values):
        raise ValueError("expected no value twice")
    return values


def _style_schema(_: Any, schema_of: Callable[[Any], Any]) -> Any:
    """A Style restricted to the ranges of params.yaml. Style itself has no checks, because networks load without pydantic."""
    ranges = {own.name: (TrainParams.model_fields[own.name].rebuild_annotation(), own.default) for own in fields(Style)}
    checked: Any = create_model("Style", __config__=STRICT, **ranges)  # type: ignore[call-overload]
    return schema_of(Annotated[checked, AfterValidator(lambda own: Style(**own.model_dump()))])


CheckedStyle = Annotated[Style, GetPydanticSchema(_style_schema)]


@dataclass(frozen=True)
class Contract:
    """What a network expects as input and returns as output.

    Attributes:
        architecture: A key of GEOMETRY.
        classes: Canonical label of each output.
        modalities: Channels of the image, in order.
        clip: Share of intensities that are clipped at either end before the z-score.
        style: Style of the last CNN.
        cnn1_style: Style of a cascade's CNN 1, or None.
        n4: Whether the bias field of T1 and T1c was corrected.
        zscore: Voxels used for the z-score, as in `params.Recipe`.
        axis: Slicing axis, as in `params.Recipe`.
        data: The training data; None if it was not recorded.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    architecture: Annotated[str, _known(GEOMETRY)]
    classes: Annotated[tuple[Annotated[int, Field(ge=0, le=4)], ...], Field(min_length=2), AfterValidator(_distinct)]
    modalities: Annotated[
        tuple[Annotated[str, _known(MODALITIES)], ...], Field(min_length=1), AfterValidator(_distinct)
    ]
    clip: Clip
    style: CheckedStyle
    cnn1_style: CheckedStyle | None
    n4: bool = False
    zscore: ZScore = "brain"
    axis: Axis = "axial"
    data: TrainingData | None = None

    @property
    def preprocessing(self) -> dict[str, Any]:
        """The preprocessing of the training cases; the fields of `params.Recipe`."""
        return {"clip": self.clip, "n4": self.n4, "zscore": self.zscore, "axis": self.axis}

    @property
    def geometry(self) -> Geometry:
        """The network's field of view."""
        return GEOMETRY[self.architecture]

    @property
    def styles(self) -> list[Style]:
        """The styles of all CNNs, the last CNN's at the end."""
        return [self.style] if self.cnn1_style is None else [self.cnn1_style, self.style]

    @property
    def shape(self) -> dict[str, int]:
        """The arguments of `build_model` other than the style."""
        return {"modalities": len(self.modalities), "classes": len(self.classes)}

    def as_dict(self) -> dict[str, Any]:
        """The content of model.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Contract":
        """The inverse of `as_dict`.

        Raises:
            ValueError: A key is missing or unknown, or a value is out of range; the message names it.
        """
        try:
            return TypeAdapter(cls).validate_json(json.dumps(values))
        except ValidationError as error:
            [first, *_] = error.errors(include_url=False, include_context=False)
            place = ".".join(map(str, first["loc"]))
            raise ValueError(f"{place}: {first['msg']}, found {str(first['input'])[:60]}") from None
