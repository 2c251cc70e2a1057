"""Class weights per slice (earlier work), per cohort, or none."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brats_cascade.labels import class_lookup
from brats_cascade.training.batches import TrainingCase


def balanced_weights(counts: np.ndarray, *, power: float = 1.0) -> np.ndarray:
    """Balanced class weights n / (k * n_class) over the classes that occur, as scikit-learn's "balanced".

    Maps the pixel counts of the classes, (..., classes), to float64 of the same shape, NaN where a class does not
    occur. Leading axes are independent sets, such as slices. The weights are raised to `power`; 0 gives 1 for every
    class that occurs.
    """
    counts = np.asarray(counts, dtype=np.float64)
    present = counts > 0
    total = counts.sum(axis=-1, keepdims=True)
    kinds = present.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.where(present, total / (kinds * counts), np.nan)
    return weights**power


def slice_counts(labels: np.ndarray, *, inside: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Counts the pixels of each class (given by its label) in each slice, int64 (slices, classes).

    Only pixels where `inside` is true count (the brain). `labels` and `inside` are (slices, rows, columns).
    """
    return np.stack([np.count_nonzero((labels == label) & inside, axis=(1, 2)) for label in classes], axis=-1)


def weight_table(counts: np.ndarray, *, scheme: str, power: float = 1.0) -> np.ndarray:
    """The weight of each class in each slice, given the pixel counts: float64 (slices, classes), NaN for absent classes.

    The scheme is "slice" (balanced within each slice), "cohort" (balanced over all slices together) or "none" (1).

    Raises:
        ValueError: Another scheme.
    """
    present = np.asarray(counts) > 0
    if scheme == "slice":
        return balanced_weights(counts, power=power)
    if scheme == "cohort":
        weights = balanced_weights(np.asarray(counts).sum(axis=0), power=power)
        return np.where(present, weights[None], np.nan)
    if scheme == "none":
        return np.where(present, 1.0, np.nan)
    raise ValueError(f"expected scheme 'slice', 'cohort' or 'none', received {scheme!r}")


def case_weights(
    cases: Sequence[TrainingCase], *, classes: Sequence[int], scheme: str, power: float
) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """The class weights of every slice of every training case; `classes` are canonical labels.

    Returns:
        Case -> (slices, classes) weights; and the same as a table: case, slice, weight_LABEL for each class.
    """
    lookup, numbers = class_lookup(classes), range(len(classes))
    counts = [slice_counts(lookup[case.labels], inside=case.brain, classes=numbers) for case in cases]
    table = weight_table(np.concatenate(counts), scheme=scheme, power=power)
    parts = np.split(table, np.cumsum([len(part) for part in counts])[:-1])
    frames = [
        pd.DataFrame(part, columns=[f"weight_{label}" for label in classes]).assign(
            case=case.name, slice=np.arange(len(part))
        )
        for case, part in zip(cases, parts, strict=True)
    ]
    return {case.name: part for case, part in zip(cases, parts, strict=True)}, pd.concat(frames, ignore_index=True)
