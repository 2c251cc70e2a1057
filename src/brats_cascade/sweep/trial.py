"""The training of one trial and its score: mean complete Dice on the validation patients."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from brats_cascade.errors import UserError
from brats_cascade.params import TrainParams
from brats_cascade.sweep.material import Material, mean_over_patients
from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.settings import recipe_of, style_of

OnCheck = Callable[[list[dict[str, float]]], None]
EVERY_SLICE = 10**6


@dataclass(frozen=True)
class Outcome:
    """What a finished training is judged by.

    Attributes:
        complete: Mean complete Dice over the validation patients, each on all slices of all their cases.
        cases: Validation case -> complete Dice.
        seconds: Time in training.
        parameters: Of the network, CNN 1 included.
        pixels: Labelled pixels seen.
    """

    complete: float
    cases: dict[str, float]
    seconds: float
    parameters: int
    pixels: int


def train_trial(
    plan: Plan,
    train: TrainParams,
    *,
    material: Material,
    root: Path,
    folder: Path,
    on_check: OnCheck,
) -> Outcome:
    """Trains with the settings of one trial and scores the result.

    Args:
        plan: The experiment.
        train: The settings.
        material: What to train on.
        root: The project's folder.
        folder: Of the checkpoints; a training that was killed goes on from there.
        on_check: Called with the history after every validation round; may raise to end the training.

    Returns:
        The outcome.

    Raises:
        UserError: The loss is no longer finite, or the CNN 1 that the experiment builds on is missing or does not fit.
    """
    from brats_cascade.models.cascade import GEOMETRY
    from brats_cascade.models.files import load_trained
    from brats_cascade.training.experiment import train_experiment
    from brats_cascade.training.validation import validation_scores

    first = first_style = None
    if plan.entry.cnn1 is not None:
        source = root / "models" / plan.entry.cnn1
        first, contract = load_trained(source, precision=train.precision)
        if contract.classes != material.classes:
            raise UserError(
                f"{source}: expected classes {material.classes}, received {contract.classes}; train it again"
            )
        first_style = replace(contract.style, precision=train.precision)
    trained = train_experiment(
        plan.entry.architecture,
        train=material.train,
        validation=material.validation,
        patch_sets=material.patch_sets,
        classes=material.classes,
        style=style_of(train),
        recipe=recipe_of(train),
        first=first,
        first_style=first_style,
        folder=folder,
        shared=root / ".work",
        on_check=on_check,
    )
    geometry = GEOMETRY[plan.entry.architecture]
    cases = {
        case.name: validation_scores(
            trained.network, cases=[case], classes=material.classes, geometry=geometry, joined=0, slices=EVERY_SLICE
        )["complete"]
        for case in material.validation
    }
    return Outcome(
        mean_over_patients(cases, patients=material.patients),
        cases,
        trained.seconds,
        trained.network.count_params(),
        trained.progress.pixels,
    )
