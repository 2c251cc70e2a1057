"""Computes label probabilities of a prepared case with one or several networks, with or without flips; and labels from them."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.axes import ORDERS, along, back
from brats_cascade.data.preprocess import has_mirrors
from brats_cascade.errors import UserError
from brats_cascade.inference.coarse import predict_coarse
from brats_cascade.inference.dense import predict_volume
from brats_cascade.inference.postprocess import Thresholds, remove_components
from brats_cascade.labels import LABELS
from brats_cascade.models.coarse import COARSE
from brats_cascade.models.files import Contract


class Member(NamedTuple):
    """A trained network and its contract."""

    network: keras.Model
    contract: Contract


def check_members(members: Sequence[Member]) -> None:
    """Refuses networks that cannot be averaged because they differ in modalities, classes or preprocessing."""
    first = members[0].contract
    for number, (_, other) in enumerate(members[1:], start=2):
        for name in ("classes", "modalities", "preprocessing"):
            mine, theirs = getattr(first, name), getattr(other, name)
            if mine != theirs:
                raise UserError(
                    f"model {number} of {len(members)}: expected {name} {mine} as in the first model, received {theirs}; "
                    "average models that were trained on the same data with the same preprocessing"
                )


def check_modalities(contract: Contract, *, name: str) -> None:
    """Refuses a network that was trained on other modalities, or on the same ones in another order; `name` is the case."""
    if tuple(contract.modalities) != MODALITIES:
        raise UserError(
            f"{name}: expected a model for the modalities {', '.join(MODALITIES)}, received one trained on "
            f"{', '.join(contract.modalities)}; give a model that this project trained"
        )


def label_probabilities(
    members: Sequence[Member],
    *,
    image: np.ndarray,
    brain: np.ndarray,
    spacing: Sequence[float],
    slices: int = 4,
    flips: bool = False,
) -> np.ndarray:
    """Mean probability of every label over the networks and, with flips, over the case and its mirrored image.

    Image and brain are as in `predict_volume`; `spacing` is the voxel spacing (slice, row, column), mm. Flips exchange left
    and right, which leaves sagittal slices unchanged.

    Returns:
        float32 (slices, rows, columns, 5), one per canonical label; background is certain outside the brain.
    """
    total = np.zeros((*brain.shape, len(LABELS)), dtype=np.float32)
    for network, contract in members:
        mirrors = (False, True) if flips and has_mirrors(contract.axis) else (False,)
        for mirror in mirrors:
            step = -1 if mirror else 1
            case = {"image": image[:, :, ::step], "brain": brain[:, :, ::step]}
            if contract.architecture == COARSE:
                axes = contract.styles[0].axes
                found = predict_coarse(network, **case, spacing=spacing, slices=slices, axes=axes)
            else:
                found = _along_its_axes(network, contract=contract, **case, slices=slices)
            for place, label in enumerate(contract.classes):
                total[..., label] += found[:, :, ::step, place] / len(mirrors)
    total /= len(members)
    return total


def _along_its_axes(
    network: keras.Model, *, contract: Contract, image: np.ndarray, brain: np.ndarray, slices: int
) -> np.ndarray:
    """`predict_volume`, or the mean over slices along all three axes if the network was trained on them."""
    if contract.style.axes == "one":
        return predict_volume(network, image=image, brain=brain, geometry=contract.geometry, slices=slices)
    total = np.zeros((*brain.shape, len(contract.classes)), dtype=np.float32)
    for order in ORDERS.values():
        case = {"image": along(image, order=order), "brain": along(brain, order=order)}
        total += back(predict_volume(network, **case, geometry=contract.geometry, slices=slices), order=order)
    return total / len(ORDERS)


def most_probable(probabilities: np.ndarray, *, operating_point: float = 0.0) -> np.ndarray:
    """The most probable label of every voxel, uint8; ties go to the lowest label.

    The operating point is first added to the score (log probability) of label 0; below 0, more voxels become tumour.
    """
    if not operating_point:
        return probabilities.argmax(axis=-1).astype(np.uint8)
    tumour = probabilities[..., 1:].argmax(axis=-1)
    highest = np.take_along_axis(probabilities[..., 1:], tumour[..., None], axis=-1)[..., 0]
    return np.where(probabilities[..., 0] * np.exp(operating_point) >= highest, 0, tumour + 1).astype(np.uint8)


def scaled(probabilities: np.ndarray, *, temperature: float) -> np.ndarray:
    """The softmax of the scores divided by a temperature, given probabilities (..., labels); above 1 they are less certain."""
    if temperature == 1:
        return probabilities
    raised = np.power(probabilities, 1 / temperature)
    return raised / raised.sum(axis=-1, keepdims=True)


def labels_of(
    probabilities: np.ndarray, *, brain: np.ndarray, spacing: Sequence[float], thresholds: Thresholds
) -> np.ndarray:
    """The canonical labels of a volume after post-processing, uint8 (slices, rows, columns)."""
    labels = most_probable(probabilities, operating_point=thresholds.operating_point)
    return remove_components(labels, brain=brain, spacing=spacing, thresholds=thresholds)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """The uncertainty of every voxel: the entropy of probabilities (..., labels) that sum to 1.

    In nats, float32 (...): 0 if one label is certain, log 5 = 1.609 if all five are equally likely.
    """
    found = np.zeros(probabilities.shape[:-1], dtype=np.float32)
    for label in range(probabilities.shape[-1]):
        share = probabilities[..., label]
        found -= share * np.log(np.maximum(share, np.float32(1e-12)))
    return np.maximum(found, 0)
