"""Provides the CNN 1s of a frozen cascade: the given one or one trained for it, and those of inner folds.

CNN 1 is better on its own training patients than on others, so a CNN 2 trained on such maps relies on them too much. With
inner folds, the maps of a training patient come from a CNN 1 that was not trained on this patient. The CNN 1 of a coarse
cascade is then the mean of those of the inner folds, which together have seen all training patients; no other one is trained.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from brats_cascade.errors import UserError
from brats_cascade.models.build import CNN1_OF
from brats_cascade.models.coarse import COARSE_CNN1, mean_of
from brats_cascade.shared import in_use
from brats_cascade.training.batches import TrainingCase, TrainingData
from brats_cascade.training.fingerprint import Cnn1, Experiment, fingerprint
from brats_cascade.training.phases import LIMIT


class InnerFold(NamedTuple):
    """The case names of a fold, ascending, and the training data of the CNN 1 that makes their maps: the other folds."""

    cases: tuple[str, ...]
    data: TrainingData


def train_first_cnns(
    train: Callable[..., Any], cascade: Experiment, *, folder: Path, shared: Path
) -> tuple[Experiment, Any, list[Any]]:
    """Trains the CNN 1s that a frozen cascade needs before its CNN 2; finished ones are reused.

    The inner CNN 1s are trained with the settings of the final one if these are known. Each has a folder named after everything
    that decides its outcome, where other trainings find it. `train` is `train_experiment`, `folder` holds its checkpoints.

    Returns:
        The experiment with its CNN 1s; the result of training CNN 1 (None if it was given, or is the mean of those of the
        folds); and the results of the folds.
    """
    below, data, settings, within = CNN1_OF[cascade.architecture], cascade.data, cascade.settings, None
    if settings.cnn1_steps:
        settings = settings.model_copy(update={"steps": settings.cnn1_steps, "phase2_steps": 0})
    cnn1, mean = cascade.cnn1, below == COARSE_CNN1 and settings.cnn1_folds > 1
    if cnn1 is None and not mean:
        within = train(Experiment(below, data, settings), folder=folder / "cnn1")
        cnn1 = Cnn1(within.network, within.style, settings)
    folds = inner_folds(data, folds=settings.cnn1_folds, seed=settings.seed) if settings.cnn1_folds else []
    apart = {
        # Keys that affect only cascades are set to fixed values, so that cascades share their inner CNN 1s.
        **{"cnn1_folds": 0, "cnn1_steps": 0, "cnn1_dropout": 0.0, "cascade": "frozen", "cnn1_output": "probabilities"},
        "precision": settings.precision,  # like the device it belongs to this training, not to the final CNN 1's
    }
    own, found = ((cnn1 and cnn1.settings) or settings).model_copy(update=apart), []
    for fold in folds:
        one = Experiment(below, fold.data, own)
        path = shared / "inner_cnn1" / fingerprint(one)[:32]
        with in_use(path, limit=LIMIT):
            found.append(train(one, folder=path))
    makers = [(fold.cases, Cnn1(of.network, of.style)) for fold, of in zip(folds, found, strict=True)]
    if cnn1 is None:
        cnn1 = Cnn1(mean_of([of.network for of in found]), found[0].style, settings)
    return replace(cascade, cnn1=cnn1, inner=makers), within, found


def inner_folds(data: TrainingData, *, folds: int, seed: int) -> list[InnerFold]:
    """Divides the training patients into folds of nearly equal size, with each release and grade spread evenly.

    The same seed and cases, in any order, give the same folds.

    Raises:
        UserError: There are fewer training patients than folds.
    """
    groups = {_patient(case): case.group for case in sorted(data.train, key=lambda case: case.name)}
    if len(groups) < folds:
        raise UserError(
            f"train.cnn1_folds: {folds} folds of {len(groups)} training patients: expected at least one patient per fold; "
            "lower train.cnn1_folds or add patients"
        )
    patients = sorted(groups)
    shuffled = [patients[place] for place in np.random.default_rng(seed).permutation(len(patients))]
    dealt = sorted(shuffled, key=lambda patient: groups[patient])  # a stable sort keeps the order within a group
    return [_fold(data, patients=set(dealt[number::folds])) for number in range(folds)]


def _fold(data: TrainingData, *, patients: set[str]) -> InnerFold:
    own = tuple(sorted(case.name for case in data.train if _patient(case) in patients))
    others = [case for case in data.train if case.name not in own]
    names = {case.name for case in others}
    sets = {key: table[table["case"].isin(names)].reset_index(drop=True) for key, table in data.patch_sets.items()}
    return InnerFold(own, replace(data, train=others, patch_sets=sets))


def _patient(case: TrainingCase) -> str:
    return case.patient or case.name
