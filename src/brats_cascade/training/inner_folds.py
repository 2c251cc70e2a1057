"""Inner folds: the maps of a training patient come from a CNN 1 that was not trained on this patient.

On its own training patients CNN 1 is better than on any others, and a CNN 2 that learns from such maps trusts what it
will never see again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from brats_cascade.errors import UserError
from brats_cascade.params.train import TrainParams
from brats_cascade.training.batches import TrainingCase, TrainingData


@dataclass(frozen=True)
class InnerFold:
    """One inner fold.

    Attributes:
        cases: Names of its cases, ascending: those that its CNN 1 makes the maps of.
        data: What its CNN 1 is trained on: the other folds' cases and patch centres, and all validation cases.
    """

    cases: tuple[str, ...]
    data: TrainingData


def inner_folds(data: TrainingData, *, folds: int, seed: int) -> list[InnerFold]:
    """Cuts the training patients into folds of nearly equal size, each release and grade spread evenly over them.

    Args:
        data: What a cascade is trained on.
        folds: Number of folds, at least 2.
        seed: The same seed and cases, in whatever order, give the same folds.

    Returns:
        The folds.

    Raises:
        UserError: Fewer training patients than folds.
    """
    groups = {_patient(case): case.group for case in sorted(data.train, key=lambda case: case.name)}
    if len(groups) < folds:
        raise UserError(
            f"train.cnn1_folds: {folds} folds of {len(groups)} training patients: expected a patient for each; lower "
            "train.cnn1_folds or add patients"
        )
    patients = sorted(groups)
    shuffled = [patients[place] for place in np.random.default_rng(seed).permutation(len(patients))]
    dealt = sorted(shuffled, key=lambda patient: groups[patient])  # keeps the order within a group
    return [_fold(data, patients=set(dealt[number::folds])) for number in range(folds)]


def cnn1_settings(settings: TrainParams) -> TrainParams:
    """Settings of a CNN 1 of which no key differs that acts on cascades alone, so that cascades share it."""
    return settings.model_copy(update={"cnn1_folds": 0, "cascade": "frozen", "cnn1_output": "probabilities"})


def _fold(data: TrainingData, *, patients: set[str]) -> InnerFold:
    own: list[TrainingCase] = [case for case in data.train if _patient(case) in patients]
    others: Sequence[TrainingCase] = [case for case in data.train if _patient(case) not in patients]
    names = {case.name for case in others}
    sets = {key: table[table["case"].isin(names)].reset_index(drop=True) for key, table in data.patch_sets.items()}
    return InnerFold(tuple(sorted(case.name for case in own)), replace(data, train=others, patch_sets=sets))


def _patient(case: TrainingCase) -> str:
    return case.patient or case.name
