"""Segments a case folder: labels, probabilities and uncertainty in the case's own frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from brats_cascade import MAX_GB
from brats_cascade.data.case import Case
from brats_cascade.data.checks import judge_case
from brats_cascade.data.prepare import prepare_case
from brats_cascade.data.store import StoredCase
from brats_cascade.errors import UserError
from brats_cascade.inference.fit import Misfit, all_misfits, describe_misfits
from brats_cascade.inference.postprocess import OFF, Thresholds
from brats_cascade.inference.segment import Member, check_members, check_modalities, label_probabilities, labels_of
from brats_cascade.labels import NON_ENHANCING, SCHEMES
from brats_cascade.models.files import Contract
from brats_cascade.params import Recipe


@dataclass(frozen=True)
class Prediction:
    """One segmented case.

    Attributes:
        prepared: The case as the networks saw it.
        labels: Canonical labels of the brain's box, uint8 (slices, rows, columns).
        probabilities: float32 (slices, rows, columns, 5), one per canonical label; the mean over networks and flips.
        misfits: Differences between the case and the networks' training data.
        warnings: Warnings of the data check, without the case's name.
    """

    prepared: StoredCase
    labels: np.ndarray
    probabilities: np.ndarray
    misfits: tuple[Misfit, ...] = ()
    warnings: tuple[str, ...] = ()


def predict_case(
    case: Case,
    *,
    members: Sequence[Member],
    slices: int = 4,
    thresholds: Thresholds = OFF,
    flips: bool = False,
    allow_merged: bool = False,
    strict: bool = False,
    max_gb: float = MAX_GB,
) -> Prediction:
    """Segments a case from its files.

    Args:
        case: The case; its ground truth, if any, is not read.
        members: One network, or several whose probabilities are averaged.
        slices: Slices per batch, which limits the memory.
        thresholds: The post-processing.
        flips: Average with the mirrored image.
        allow_merged: Accept a network that does not distinguish all labels of the case's release.
        strict: Refuse a case that differs from the networks' training data, or that one of them was trained on.
        max_gb: Memory limit for reading and preprocessing, gigabytes.

    Raises:
        UserError: The case cannot be read, the data check would exclude it, or the networks do not fit the case or each
            other. The message names it.
    """
    check_members(members)
    for member in members:
        check_fit(member.contract, case=case, allow_merged=allow_merged)
    prepared = prepare_case(case, recipe=Recipe(**members[0].contract.preprocessing), with_truth=False, max_gb=max_gb)
    warnings = judged(prepared)
    misfits = all_misfits((member.contract for member in members), facts=prepared.meta["facts"])
    if strict and misfits:
        raise UserError(f"{case.name}: {describe_misfits(misfits)}; give another --model, or leave out --strict")
    place: dict[str, Any] = {"brain": prepared.brain, "spacing": prepared.meta["spacing"]}
    probabilities = label_probabilities(members, image=prepared.image, slices=slices, flips=flips, **place)
    labels = labels_of(probabilities, thresholds=thresholds, **place)
    return Prediction(prepared, labels, probabilities, misfits, warnings)


def judged(prepared: StoredCase) -> tuple[str, ...]:
    """What the data check warns of in the scans of a case; a UserError if it would set the case aside."""
    errors, warnings = judge_case({**prepared.meta["facts"], "problem": ""})  # only scans count here
    if errors:
        raise UserError(f"{prepared.name}: {'; '.join(errors)}")
    return warnings


def check_fit(contract: Contract, *, case: Case, allow_merged: bool = False) -> None:
    """Refuses a network with other modalities or, unless `allow_merged`, with fewer classes than the case's release."""
    check_modalities(contract, name=case.name)
    classes = SCHEMES[case.scheme].canonical_labels
    if NON_ENHANCING in classes and NON_ENHANCING not in contract.classes and not allow_merged:
        raise UserError(
            f"{case.name}: its release ({case.release}) tells necrosis and non-enhancing tumour apart, but the model knows "
            f"only the classes {list(contract.classes)}; give a model trained on five labels, or add --allow-merged to get "
            "both as label 1"
        )
