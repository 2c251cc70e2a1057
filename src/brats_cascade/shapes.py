"""What the project's own JSON files must hold to be used, and the version of their form; keys beyond these are left alone."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

Numbers = dict[str, float | None]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    version: Literal[1] = 1  # of the form; files from before there were versions have none


class Splits(_Shape):
    """data/splits.json."""

    train: list[str]
    validation: list[str]
    test: list[str]


class Verdict(_Shape):
    """data/verdict.json."""

    accepted: list[str]


class Patches(_Shape):
    """data/patches/summary.json."""

    classes: list[int]


class Chosen(_Shape):
    """The part of metrics/E/summary.json on the validation cases."""

    dice: float


class Summary(_Shape):
    """metrics/E/summary.json."""

    complete: Numbers
    core: Numbers
    enhancing: Numbers
    postprocess: Numbers = {}
    validation: Chosen | None = None


class Scores(_Shape):
    """Of a region."""

    dice: float | None


class Compared(_Shape):
    """An experiment in reports/comparison.json."""

    complete: Scores
    core: Scores
    enhancing: Scores
    patients: int


class Comparison(_Shape):
    """reports/comparison.json."""

    experiments: dict[str, Compared]


class Record(_Shape):
    """models/E/record.json."""

    params: dict[str, Any] = {}
    data_hashes: dict[str, str] = {}


class Facts(_Shape):
    """What ingest found of a case."""

    case: str
    patient: str
    release: str
    grade: str | None


class Meta(_Shape):
    """meta.json of a case in the store, with the version of its preprocessing (data/prepare.py); ingest redoes another's."""

    version: int = 0  # type: ignore[assignment]
    facts: Facts
    spacing: list[float]


class Cost(_Shape):
    """A note in .work/cost."""

    stage: str
    argument: str
    seconds: float
    peak_memory_mb: float
    when: str


class Run(_Shape):
    """The MLflow run of a training, while it trains and of its network."""

    run_id: str = ""


SHAPES: dict[str, type[_Shape]] = {
    "data/splits.json": Splits,
    "data/verdict.json": Verdict,
    "patches/summary.json": Patches,
    "metrics/*/summary.json": Summary,
    "reports/comparison.json": Comparison,
    "models/*/record.json": Record,
    "data/volumes/*/meta.json": Meta,
    ".work/cost/*.json": Cost,
    ".work/train/*/run.json": Run,
    ".work/runs/*/*.json": Run,
}


def _shape_of(path: Path) -> type[_Shape] | None:
    return next((shape for pattern, shape in SHAPES.items() if path.match(pattern)), None)


def versioned(path: Path, content: Any) -> Any:
    """The content with the version of its form as first key, where files of this path have one."""
    shape = _shape_of(path)
    return {"version": shape.model_fields["version"].default, **content} if shape else content


def problem_of(path: Path, content: dict[str, Any]) -> str:
    """What is wrong with the content of a file of this path, in a few words; empty if nothing is."""
    shape = _shape_of(path)
    if shape is None:
        return ""
    try:
        shape.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return ""
