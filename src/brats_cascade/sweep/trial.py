"""The training of one trial and its score: mean complete Dice on the validation patients."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from brats_cascade.params import TrainParams
from brats_cascade.project import Project
from brats_cascade.stages.train_entry import train_entry
from brats_cascade.sweep.material import Material, mean_over_patients
from brats_cascade.sweep.plan import Plan

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
        pixels: Labelled pixels seen, those of CNN 1s trained within included.
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
    from brats_cascade.training.validation import validation_scores

    entry, data = plan.entry.model_copy(update={"train": train}), material.data
    trained = train_entry(Project(root), entry, data=data, folder=folder, on_check=on_check)
    geometry = GEOMETRY[entry.architecture]
    cases = {
        case.name: validation_scores(
            trained.network, cases=[case], classes=data.classes, geometry=geometry, slices=EVERY_SLICE
        )["complete"]
        for case in data.validation
    }
    return Outcome(
        mean_over_patients(cases, patients=material.patients),
        cases,
        trained.seconds,
        trained.network.count_params(),
        trained.pixels,
    )
