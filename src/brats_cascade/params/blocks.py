"""The blocks of params.yaml as frozen models, one per stage; unknown keys and wrong types are refused."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from brats_cascade import MAX_GB
from brats_cascade.params.train import Count, Folds, NotNegative, Positive, Seed, Stage, TrainParams

# One number, or a list from which a stage chooses.
_LISTED = Field(min_length=1), BeforeValidator(lambda value: value if isinstance(value, list | tuple) else (value,))
Candidates = Annotated[tuple[NotNegative, ...], *_LISTED]
Offsets = Annotated[tuple[Annotated[float, Field(allow_inf_nan=False)], ...], *_LISTED]


Clip = Annotated[float, Field(ge=0, lt=0.5)]
ZScore = Literal["brain", "volume"]
Axis = Literal["axial", "coronal", "sagittal"]


class DataParams(Stage):
    """The raw volumes."""

    source: Annotated[str, Field(min_length=1)]  # empty, it would be the project itself
    layout: str = "auto"
    labels: Literal["merge", "refuse"] = "merge"
    pseudonyms: bool = False


class PhantomParams(Stage):
    """The built-in default cohort."""

    patients: Annotated[int, Field(ge=3)]
    high_grade: Count
    seed: Seed
    spacing: Annotated[float, Field(ge=1, le=4)]


class Recipe(Stage):
    """How intensities are treated and slices are cut; describes how a stored case was made."""

    clip: Clip
    n4: bool = False
    zscore: ZScore = "brain"
    axis: Axis = "axial"

    def as_dict(self) -> dict[str, Any]:
        """For a case's meta; a block with further keys gives those of the recipe alone."""
        return self.model_dump(include=set(Recipe.model_fields))


class IngestParams(Recipe):
    """Preprocessing of volumes."""

    workers: Positive
    scheduler: str = ""
    keep_gb: Annotated[float, Field(ge=0)] = 20
    max_gb: Annotated[float, Field(gt=0)] = MAX_GB


class SplitLists(Stage):
    """Patients or cases chosen by the user."""

    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


class SplitParams(Stage):
    """The validation and test sets."""

    seed: Seed
    validation: Positive
    test: Positive
    folds: Folds = 0
    fold: Count = 0
    lists: SplitLists = SplitLists()
    test_release: str = ""

    @property
    def round(self) -> str:
        """The round of a cross-validation, such as "0 of 5", or "none"; lists and a test release override folds."""
        other = self.lists.validation or self.lists.test or self.test_release
        return f"{self.fold} of {self.folds}" if self.folds and not other else "none"


class PatchParams(Stage):
    """The number of centres in each patch set."""

    seed: Seed
    phase1: Positive
    phase2: Positive
    border: Count = 0
    export: Annotated[int, Field(ge=0, le=512)] = 0


class EvaluateParams(Stage):
    """Inference and scoring. For a list of values, evaluation chooses the best on the validation patients."""

    precision: Literal["float32", "bfloat16", "auto"]
    slices: Positive
    flips: bool
    min_component: Candidates
    skull_distance: Candidates
    flatness: Candidates
    skull_volume: Candidates
    inner_component: Candidates = (0.0,)
    operating_point: Offsets = (0.0,)
    temperature: bool = False


class SweepParams(Stage):
    """The settings of a sweep (docs/sweeps.md); `brats_cascade.params.space` checks `space`."""

    experiment: str = "two_path"
    fixed: dict[str, Any] = Field(default_factory=dict)
    seed: Seed = 1
    sampler: Literal["tpe", "random"] = "tpe"
    startup: Positive = 5
    pruner: Literal["median", "hyperband", "none"] = "median"
    second: Literal["none", "seconds", "parameters"] = "none"
    patience: Count = 0
    retries: Count = 2
    heartbeat: Positive = 20
    space: dict[str, Any] = Field(default_factory=dict)


class ExperimentParams(Stage):
    """One entry of `experiments`.

    `builds_on` is `data/patches` for a network trained from the patch sets alone (a cascade then also trains its CNN 1), or
    `models/NAME` for a cascade whose CNN 1 is the TwoPathCNN of experiment NAME. It is a DVC dependency of the training stage.
    """

    architecture: Literal["two_path", "input_cascade", "local_cascade", "mf_cascade", "unet", "coarse_cascade"]
    builds_on: str
    train: TrainParams

    @property
    def cnn1(self) -> str | None:
        """The experiment whose TwoPathCNN is CNN 1, or None."""
        folder, _, name = self.builds_on.partition("/")
        return name if folder == "models" else None


class Params(Stage):
    """All of params.yaml."""

    data: DataParams
    phantom: PhantomParams
    ingest: IngestParams
    split: SplitParams
    patches: PatchParams
    train: TrainParams
    evaluate: EvaluateParams
    experiments: dict[str, ExperimentParams]
    sweep: SweepParams = SweepParams()
