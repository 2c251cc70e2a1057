"""The required keys and format versions of the project's JSON files; additional keys are ignored."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, create_model


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    version: Literal[1] = 1  # format version; the oldest files have none


def _shape(**fields: Any) -> type[_Shape]:
    """A mapping with these keys, each with a type, or with a type and a default for a missing key."""
    given: dict[str, Any] = {
        name: field if isinstance(field, tuple) else (field, ...) for name, field in fields.items()
    }
    return create_model("Shape", __base__=_Shape, **given)


_NUMBERS = dict[str, float | None]
_REGION = _shape(dice=float | None)
_COMPARED = _shape(complete=_REGION, core=_REGION, enhancing=_REGION, patients=int)
_CHOSEN = _shape(dice=float)
_FACTS = _shape(case=str, patient=str, release=str, grade=str | None)
_RUN = _shape(run_id=(str, ""))  # the MLflow run of a training and its network

SHAPES: dict[str, type[_Shape]] = {
    "data/splits.json": _shape(train=list[str], validation=list[str], test=list[str]),
    "data/verdict.json": _shape(accepted=list[str]),
    "patches/summary.json": _shape(classes=list[int]),
    "metrics/*/summary.json": _shape(
        complete=_NUMBERS,
        core=_NUMBERS,
        enhancing=_NUMBERS,
        postprocess=(_NUMBERS, {}),
        validation=(_CHOSEN | None, None),
    ),
    "reports/comparison.json": _shape(experiments=dict[str, _COMPARED]),  # type: ignore[valid-type]
    "models/*/record.json": _shape(params=(dict[str, Any], {}), data_hashes=(dict[str, str], {})),
    # The version is that of the preprocessing, which earlier commits wrote.
    "data/volumes/*/meta.json": _shape(version=(int, 0), facts=_FACTS, spacing=list[float]),
    ".work/cost/*.json": _shape(stage=str, argument=str, seconds=float, peak_memory_mb=float, when=str),
    ".work/train/*/run.json": _RUN,
    ".work/runs/*/*.json": _RUN,
}


def _shape_of(path: Path) -> type[_Shape] | None:
    return next((shape for pattern, shape in SHAPES.items() if path.match(pattern)), None)


def versioned(path: Path, content: Any) -> Any:
    """The content with the format version as its first key, if files at this path have one."""
    shape = _shape_of(path)
    return {"version": shape.model_fields["version"].default, **content} if shape else content


def problem_of(path: Path, content: dict[str, Any]) -> str:
    """The problem with the content of a file at this path, in a few words, or ""."""
    shape = _shape_of(path)
    if shape is None:
        return ""
    try:
        shape.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return ""
