"""Folds batch normalisation into the preceding convolutions: the same outputs with fewer passes over memory.

A trained batch normalisation computes scale * maxout + shift. If the scale is positive, this equals the maxout of
scale * map + shift, so it can be moved into the convolution's kernel and bias. A network with any scale that is not positive
keeps its normalisation. A network with ReLUs normalises its convolutions directly, and the same arithmetic applies. A wide
output layer leaves out class 0, because the softmax depends only on differences; this is not done if a ReLU uses the scores.
"""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from brats_cascade.data.grid import SLABS
from brats_cascade.models.build import build_model
from brats_cascade.models.coarse import COARSE_CNN1, mean_of, members_of
from brats_cascade.models.files import Contract, build_described, cnns_of, describing, load_trained
from brats_cascade.models.layers import WideOutput
from brats_cascade.models.two_path import Style


def for_inference(network: keras.Model, *, contract: Contract, precision: str) -> keras.Model:
    """A new network for prediction: the same outputs, computed in a given precision, without normalisation layers.

    `network` is a trained network that `contract` describes; it is not changed.
    """
    parts, (*below, style) = cnns_of(network), contract.styles
    styles = [replace(own, precision=precision) for own in (*(below * (len(parts) - 1)), style)]
    twin = build_described(contract, styles=[_lean(part, style=own) for part, own in zip(parts, styles, strict=True)])
    for part, target in zip(parts, cnns_of(twin), strict=True):
        _copy_weights(part, target=target)
    return twin


def fold_cnn1(network: keras.Model, *, style: Style) -> keras.Model:
    """A new network of a trained CNN 1 alone, up to its probabilities, folded, in the precision of its style."""
    modalities, classes = network.input_shape[-1], network.output_shape[-1]
    if network.name == COARSE_CNN1:
        modalities = modalities // (2 * SLABS + 1) - 1
    twins = []
    for part in members_of(network):
        twin = build_model(network.name, style=_lean(part, style=style), modalities=modalities, classes=classes)
        _copy_weights(part, target=twin)
        twins.append(twin)
    return mean_of(twins)


def load_for_inference(path: Path, *, precision: str) -> tuple[keras.Model, Contract]:
    """`load_trained` followed by `for_inference`; used by prediction and evaluation."""
    network, contract = load_trained(path)
    with describing(path, contract=contract):
        return for_inference(network, contract=contract, precision=precision), contract


def _lean(part: keras.Model, *, style: Style) -> Style:
    """The style of a network's folded form: without batch normalisation if all scales are positive."""
    if style.normalisation != "batch":
        return style
    positive = all(bool((_scale_and_shift(part, block=block)[0] > 0).all()) for block in _normalised(part))
    return replace(style, normalisation="none") if positive else style


def _normalised(part: keras.Model) -> set[str]:
    """Names of the blocks whose convolution is followed by batch normalisation."""
    return {layer.name.removesuffix("_norm") for layer in part.layers if layer.name.endswith("_norm")}


def _scale_and_shift(part: keras.Model, *, block: str) -> tuple[np.ndarray, np.ndarray]:
    """A block's normalisation at inference, as scale and shift per map, float64 (maps)."""
    layer = part.get_layer(f"{block}_norm")
    gamma, beta, mean, variance = (np.asarray(weight, dtype=np.float64) for weight in layer.get_weights())
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return scale, beta - scale * mean


def _copy_weights(part: keras.Model, *, target: keras.Model) -> None:
    """Copies a network's weights; normalisations that the target lacks are folded into the preceding convolutions."""
    folded = _normalised(part) - _normalised(target)
    for layer in target.layers:
        weights = part.get_layer(layer.name).get_weights()
        block = layer.name.removesuffix("_conv")
        if block in folded:
            scale, shift = _scale_and_shift(part, block=block)
            kernel, bias = weights
            pieces = len(bias) // len(scale)
            weights = [
                (kernel * np.tile(scale, pieces)).astype(np.float32),
                (bias * np.tile(scale, pieces) + np.tile(shift, pieces)).astype(np.float32),
            ]
        if weights:
            layer.set_weights(weights)
    last = target.get_layer("output")
    if isinstance(last, WideOutput) and target.output is not last.output:
        last.form = "relative"
