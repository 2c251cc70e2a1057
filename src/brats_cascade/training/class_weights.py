"""Class weights per slice (earlier work), per cohort, or none."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brats_cascade.labels import class_lookup
from brats_cascade.training.batches import TrainingCase


def balanced_weights(counts: np.ndarray, *, power: float = 1.0) -> np.ndarray:
    """Balanced class weights n / (k * n_class) over the classes that occur, as scikit-learn's "balanced".

    Args:
        counts: Pixels of each class, (..., classes); leading axes are independent sets, such as slices.
        power: The balanced weights are raised to it: 1 balances fully, 0 gives 1 for every class that occurs.

    Returns:
        float64 array like `counts`; NaN where a class does not occur.
    """
    counts = np.asarray(counts, dtype=np.float64)
    present = counts > 0
    total = counts.sum(axis=-1, keepdims=True)
    kinds = present.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.where(present, total / (kinds * counts), np.nan)
    return weights**power


def slice_counts(labels: np.ndarray, *, inside: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Counts the pixels of each class in each slice.

    Args:
        labels: Canonical labels (slices, rows, columns).
        inside: bool array of the same shape: the pixels that count (the brain).
        classes: Canonical label of each class.

    Returns:
        int64 array (slices, classes).
    """
    slices = np.arange(labels.shape[0])[:, None, None]
    keys = (slices * 256 + labels.astype(np.int64))[inside]
    table = np.bincount(keys, minlength=labels.shape[0] * 256).reshape(labels.shape[0], 256)
    return table[:, list(classes)]


def weight_table(counts: np.ndarray, *, scheme: str, power: float = 1.0) -> np.ndarray:
    """Weight of each class in each slice.

    Args:
        counts: Pixels of each class in each slice of the training set, (slices, classes).
        scheme: "slice": balanced within each slice; "cohort": balanced over all slices together; "none": 1.
        power: As in `balanced_weights`.

    Returns:
        float64 array (slices, classes); NaN where a class does not occur in the slice.

    Raises:
        ValueError: The scheme is none of the three.
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
    """Class weights of every slice of every case.

    Args:
        cases: The training cases.
        classes: Canonical label of each class.
        scheme: "slice", "cohort" or "none".
        power: As in `balanced_weights`.

    Returns:
        Case -> (slices, classes) weights, and the same as a table: case, slice, weight_LABEL for each class.
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
