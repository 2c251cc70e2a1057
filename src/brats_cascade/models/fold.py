"""Batch normalisation folded into the convolutions before it: the same outputs with fewer passes over memory."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from brats_cascade.data.grid import SLABS
from brats_cascade.models.build import CNN1_OF, build_model
from brats_cascade.models.coarse import COARSE_CNN1
from brats_cascade.models.files import Contract, describing, load_trained
from brats_cascade.models.layers import WideOutput
from brats_cascade.models.two_path import Style


def for_inference(network: keras.Model, *, contract: Contract, precision: str) -> keras.Model:
    """The network to predict with: same outputs, computed in another precision, without normalisation layers.

    After a trained batch normalisation a map is scale * maxout + shift. Where the scale is positive that is the maxout of
    scale * map + shift, so it goes into the convolution's kernel and bias. A network with a scale that is not positive
    keeps its normalisation. A U-Net normalises its convolutions themselves, and the same arithmetic holds.
    A wide output layer leaves class 0 out of its sums, as the softmax sees differences alone; not where a ReLU sees its scores.

    Args:
        network: Trained; left as it is.
        contract: Its contract.
        precision: "float32" or "bfloat16" to compute in.

    Returns:
        A new network.
    """
    parts = [network] if contract.cnn1_style is None else [network.get_layer("cnn1"), network.get_layer("cnn2")]
    styles = [style for style in (contract.cnn1_style, contract.style) if style is not None]
    folds = [
        style.normalisation == "batch" and _scales_are_positive(part) for part, style in zip(parts, styles, strict=True)
    ]
    lean = [
        replace(style, precision=precision, normalisation="none" if fold else style.normalisation)
        for style, fold in zip(styles, folds, strict=True)
    ]
    shape = {"modalities": len(contract.modalities), "classes": len(contract.classes)}
    cnn1 = None if len(lean) == 1 else build_model(CNN1_OF[contract.architecture], style=lean[0], **shape)
    twin = build_model(contract.architecture, style=lean[-1], cnn1=cnn1, **shape)
    targets = [twin] if cnn1 is None else [twin.get_layer("cnn1"), twin.get_layer("cnn2")]
    for part, target, fold in zip(parts, targets, folds, strict=True):
        _copy_weights(part, target=target, fold=fold)
        last = target.get_layer("output")
        if isinstance(last, WideOutput) and target.output is not last.output:
            last.form = "relative"
    return twin


def fold_cnn1(network: keras.Model, *, style: Style) -> keras.Model:
    """A CNN 1 alone, folded as `for_inference` does it, in the precision of its style.

    Args:
        network: Trained; left as it is.
        style: Its style.

    Returns:
        A new network to probabilities; its scores are relative to class 0's.
    """
    fold = style.normalisation == "batch" and _scales_are_positive(network)
    lean = replace(style, normalisation="none") if fold else style
    modalities, classes = network.input_shape[-1], network.output_shape[-1]
    if network.name == COARSE_CNN1:
        modalities = modalities // (2 * SLABS + 1) - 1
    twin = build_model(network.name, style=lean, modalities=modalities, classes=classes)
    _copy_weights(network, target=twin, fold=fold)
    twin.get_layer("output").form = "relative"
    return twin


def load_for_inference(path: Path, *, precision: str) -> tuple[keras.Model, Contract]:
    """`load_trained`, then `for_inference`: what prediction and evaluation use."""
    network, contract = load_trained(path)
    with describing(path, contract=contract):
        return for_inference(network, contract=contract, precision=precision), contract


def _scales_are_positive(part: keras.Model) -> bool:
    return all(bool((_scale_and_shift(part, block=block)[0] > 0).all()) for block in _normalised(part))


def _normalised(part: keras.Model) -> list[str]:
    """Names of the blocks whose convolution is followed by a batch normalisation."""
    return [layer.name.removesuffix("_norm") for layer in part.layers if layer.name.endswith("_norm")]


def _scale_and_shift(part: keras.Model, *, block: str) -> tuple[np.ndarray, np.ndarray]:
    """What a block's normalisation does to each map at inference: scale * map + shift, float64 (maps)."""
    layer = part.get_layer(f"{block}_norm")
    gamma, beta, mean, variance = (np.asarray(weight, dtype=np.float64) for weight in layer.get_weights())
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return scale, beta - scale * mean


def _copy_weights(part: keras.Model, *, target: keras.Model, fold: bool) -> None:
    normalised = _normalised(part)
    for layer in target.layers:
        weights = part.get_layer(layer.name).get_weights() if layer.weights else []
        block = layer.name.removesuffix("_conv")
        if fold and block in normalised:
            scale, shift = _scale_and_shift(part, block=block)
            kernel, bias = weights
            pieces = len(bias) // len(scale)
            weights = [
                (kernel * np.tile(scale, pieces)).astype(np.float32),
                (bias * np.tile(scale, pieces) + np.tile(shift, pieces)).astype(np.float32),
            ]
        if weights:
            layer.set_weights(weights)
