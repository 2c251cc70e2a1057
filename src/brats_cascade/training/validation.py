"""Validation during training: region Dice on a sample of whole slices of the validation cases."""

from collections.abc import Sequence

import keras
import numpy as np

from brats_cascade.data.windows import round_up
from brats_cascade.labels import REGIONS, class_lookup, region_mask
from brats_cascade.models.cascade import Geometry
from brats_cascade.training.augment import Variation
from brats_cascade.training.batches import TrainingCase
from brats_cascade.training.inputs import cut_inputs


def spread_slices(brain: np.ndarray, *, count: int) -> list[int]:
    """Up to `count` evenly spaced indices of slices that contain brain, ascending; `brain` is (slices, rows, columns)."""
    filled = np.flatnonzero(brain.any(axis=(1, 2)))
    chosen = np.unique(np.linspace(0, len(filled) - 1, min(count, len(filled))).round().astype(int))
    return [int(layer) for layer in filled[chosen]]


def predict_slices(
    network: keras.Model, *, case: TrainingCase, layers: Sequence[int], geometry: Geometry, at_once: int = 4
) -> np.ndarray:
    """Class probabilities of whole slices, float32 (layers, rows, columns, classes), computed in batches of slices.

    The network is one in training, or the CNN 2 of a cascade with stored maps.
    """
    rows, columns = case.brain.shape[1:]
    size = round_up(rows, multiple=geometry.step[0]), round_up(columns, multiple=geometry.step[1])
    still, found = Variation(None, None, flipped=False), []
    for number in range(0, len(layers), at_once):
        chosen = list(layers[number : number + at_once])
        windows = [
            cut_inputs(case, layer=layer, top=0, left=0, size=size, geometry=geometry, variation=still)
            for layer in chosen + chosen[-1:] * (at_once - len(chosen))  # one shape: traced once
        ]
        inputs = [np.stack(part) for part in zip(*windows, strict=True)]
        scores = keras.ops.convert_to_numpy(network.predict_on_batch(inputs if len(inputs) > 1 else inputs[0]))
        found.append(scores[: len(chosen), :rows, :columns])
    return np.concatenate(found)


def validation_scores(
    network: keras.Model, *, cases: Sequence[TrainingCase], classes: Sequence[int], geometry: Geometry, slices: int = 24
) -> dict[str, float]:
    """Loss and region Dice on a sample of slices per case, averaged over cases.

    Returns:
        "loss": mean negative log-likelihood of the brain's pixels, unweighted; region -> mean Dice, which is 1 if a region
        is absent from both ground truth and prediction; "tumour_share": predicted tumour pixels divided by true tumour
        pixels over all slices. 0 means that the network has collapsed to background, 1 that the amount is right.
    """
    names, lookup = np.asarray(classes, dtype=np.uint8), class_lookup(classes)
    scores: dict[str, list[float]] = {name: [] for name in ("loss", *REGIONS)}
    called, true = 0, 0
    for case in cases:
        layers = spread_slices(case.brain, count=slices)
        found = predict_slices(network, case=case, layers=layers, geometry=geometry)
        brain, truth = case.brain[layers], case.labels[layers]
        wanted = np.take_along_axis(found[brain], lookup[truth[brain]][:, None].astype(int), axis=-1)
        scores["loss"].append(float(-np.log(np.maximum(wanted, 1e-7)).mean()))
        predicted = names[found.argmax(axis=-1)]
        predicted[~brain] = 0
        called, true = called + int(np.count_nonzero(predicted)), true + int(np.count_nonzero(truth))
        for region in REGIONS:
            a, b = region_mask(truth, region=region), region_mask(predicted, region=region)
            size = int(a.sum() + b.sum())
            scores[region].append(2 * int((a & b).sum()) / size if size else 1.0)
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    return {**means, "tumour_share": called / max(true, 1)}
