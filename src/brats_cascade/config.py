"""params.yaml as one small frozen model per stage; unknown or mistyped keys are refused with the nearest name."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from brats_cascade.errors import UserError
from brats_cascade.params_file import check_experiment_names, explain, read_tree

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
# One number, or several of which a stage chooses one.
Candidates = Annotated[
    tuple[NotNegative, ...],
    Field(min_length=1),
    BeforeValidator(lambda value: value if isinstance(value, list | tuple) else (value,)),
]


class Stage(BaseModel):
    """A block of params.yaml: frozen, strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataParams(Stage):
    """Where the raw volumes are."""

    source: str
    layout: str = "auto"
    labels: Literal["merge", "refuse"] = "merge"


class PhantomParams(Stage):
    """The embedded default cohort."""

    patients: Annotated[int, Field(ge=3)]
    high_grade: Count
    seed: int
    spacing: Annotated[float, Field(ge=1, le=4)]


class IngestParams(Stage):
    """Preprocessing of volumes."""

    clip: Annotated[float, Field(ge=0, lt=0.5)]
    n4: bool = False
    zscore: Literal["brain", "volume"] = "brain"
    axis: Literal["axial", "coronal", "sagittal"] = "axial"
    workers: Positive
    scheduler: str = ""
    keep_gb: Annotated[float, Field(ge=0)] = 20


class SplitLists(Stage):
    """Patients or cases that a person has chosen."""

    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


class SplitParams(Stage):
    """Patients of the validation and test sets."""

    seed: int
    validation: Positive
    test: Positive
    folds: Count = 0
    fold: Count = 0
    lists: SplitLists = SplitLists()


class PatchParams(Stage):
    """Number of centres in each patch set."""

    seed: int
    phase1: Positive
    phase2: Positive
    validation: Positive
    border: Count = 0
    export: Count = 0


class TrainParams(Stage):
    """One training run: the defaults of `train` with an experiment's overrides."""

    seed: int
    width: Annotated[float, Field(gt=0, le=4)]
    maxout: Positive
    normalisation: Literal["batch", "dropout", "none"]
    pooling: Literal["max", "conv"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    start: Literal["he", "paper"]
    cascade: Literal["frozen", "joint"]
    cnn1_output: Literal["probabilities", "relu_batch"]
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
    optimizer: Literal["adam", "sgd"]
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["cosine", "linear", "exponential", "constant"]
    final_rate: Share
    warmup: Share
    phase2_rate: Annotated[float, Field(gt=0)]
    output_rate: Annotated[float, Field(gt=0)]
    momentum_start: Annotated[float, Field(ge=0, lt=1)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    clip_norm: NotNegative
    l1: NotNegative
    l2: NotNegative
    kernel_bound: NotNegative
    flip: bool
    intensity: NotNegative
    checks: Positive
    patience: Count
    checkpoint_steps: Count
    precision: Literal["float32", "bfloat16"]
    devices: Literal["one", "local", "workers"]


class EvaluateParams(Stage):
    """Inference and scoring; a list holds values of which evaluation takes the best on the validation patients."""

    precision: Literal["float32", "bfloat16"]
    slices: Positive
    flips: bool
    min_component: Candidates
    skull_distance: Candidates
    flatness: Candidates
    skull_volume: Candidates


class SweepParams(Stage):
    """A search for better `train` settings (docs/sweeps.md); `space` is checked by `brats_cascade.sweep.space`."""

    experiment: str = "two_path"
    fixed: dict[str, Any] = {}
    seed: int = 1
    sampler: Literal["tpe", "random"] = "tpe"
    startup: Positive = 5
    pruner: Literal["median", "hyperband", "none"] = "median"
    second: Literal["none", "seconds", "parameters"] = "none"
    patience: Count = 0
    retries: Count = 2
    heartbeat: Positive = 20
    space: dict[str, Any] = {}


class ExperimentParams(Stage):
    """One entry of `experiments`.

    `builds_on` is `data/patches` for a network trained from the patch sets alone (a cascade then trains its CNN 1 too), or
    `models/NAME` for a cascade whose CNN 1 is the TwoPathCNN of experiment NAME; DVC takes it as a dependency of the
    training stage.
    """

    architecture: Literal["two_path", "input_cascade", "local_cascade", "mf_cascade", "unet"]
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


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Reads and checks params.yaml.

    Args:
        path: The file.

    Returns:
        The checked parameters; every experiment holds the `train` defaults with its own overrides applied.

    Raises:
        UserError: The file is missing or no YAML, an experiment's name cannot be used, or a key is unknown, missing or of
            the wrong kind; the message names the key and, for an unknown one, the nearest known name.
    """
    tree = read_tree(path)
    check_experiment_names(tree.get("experiments"), path=path)
    tree["experiments"] = {
        name: _with_defaults(entry, defaults=tree.get("train")) for name, entry in tree["experiments"].items()
    }
    try:
        params = Params.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, known=_known_keys)}") from None
    _check_experiments(params.experiments, path=path)
    _check_sweep(params, path=path)
    return params


def _with_defaults(entry: Any, *, defaults: Any) -> Any:
    """Splits an experiment into its own keys and its overrides of `train`, and fills in the defaults."""
    if not isinstance(defaults, dict):
        return entry
    own = {key: value for key, value in entry.items() if key in ExperimentParams.model_fields}
    overrides = {key: value for key, value in entry.items() if key not in ExperimentParams.model_fields}
    return {**own, "train": {**defaults, **overrides}}


def _check_experiments(experiments: dict[str, ExperimentParams], *, path: Path) -> None:
    for name, entry in experiments.items():
        where = f"{path}: experiments.{name}.builds_on"
        if entry.builds_on == "data/patches":
            continue
        if entry.cnn1 is None:
            raise UserError(f"{where}: expected data/patches or models/NAME, got {entry.builds_on!r}")
        if entry.cnn1 not in experiments or experiments[entry.cnn1].architecture != "two_path":
            known = [key for key, other in experiments.items() if other.architecture == "two_path"]
            raise UserError(
                f"{where}: expected models/NAME of a two_path experiment, one of {known}, got {entry.builds_on!r}"
            )
        if entry.architecture in ("two_path", "unet"):
            raise UserError(f"{where}: {entry.architecture} has no CNN 1; set it to data/patches")


def _check_sweep(params: Params, *, path: Path) -> None:
    if params.sweep.space or params.sweep.fixed or "sweep" in params.model_fields_set:
        from brats_cascade.sweep.plan import plan_of

        try:
            plan_of(params)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None


def _known_keys(parents: list[str]) -> list[str]:
    """The keys that the block at this place knows; an experiment also takes those of `train`."""
    if not parents:
        return list(Params.model_fields)
    if parents[0] == "experiments":
        own = [key for key in ExperimentParams.model_fields if key != "train"]
        return [*own, *TrainParams.model_fields]
    block = Params.model_fields[parents[0]].annotation
    return list(block.model_fields) if isinstance(block, type) and issubclass(block, BaseModel) else []
