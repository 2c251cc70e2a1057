"""Folding the normalisation into the convolutions changes no output."""

import numpy as np
import pytest

from brats_cascade.models.build import build_model
from brats_cascade.models.cascade import CASCADES, PAPERS
from brats_cascade.models.files import Contract
from brats_cascade.models.fold import fold_cnn1, for_inference
from brats_cascade.models.two_path import Style


def _trained(architecture: str, *, style: Style, negative: bool = False):
    """A network with moving statistics, scales and shifts as a training leaves them."""
    network = build_model(architecture, style=style)
    rng = np.random.default_rng(0)
    for part in (network, *(network.get_layer(name) for name in ("cnn1", "cnn2") if architecture in CASCADES)):
        for layer in part.layers:
            if layer.name.endswith("_norm") or layer.name == "cnn1_batch":
                maps = len(layer.get_weights()[0])
                gamma = rng.uniform(0.5, 2, maps) * np.where(np.arange(maps) == 0, -1 if negative else 1, 1)
                layer.set_weights([gamma, rng.normal(size=maps), rng.normal(size=maps), rng.uniform(0.5, 3, maps)])
    first = style if architecture in CASCADES else None
    return network, Contract(architecture, (0, 1, 2, 3, 4), ("flair", "t1", "t1c", "t2"), 0.01, style, first)


def _norms(network) -> list[str]:
    parts = [network.get_layer("cnn1"), network.get_layer("cnn2")] if network.name in CASCADES else [network]
    return [layer.name for part in parts for layer in part.layers if layer.name.endswith("_norm")]


def _compare(lean, network) -> None:
    """Both give the same outputs, which depend on the place."""
    image = np.random.default_rng(1).normal(size=(2, 70, 68, 4)).astype(np.float32)
    expected = network.predict_on_batch(image)
    assert expected.std(axis=(0, 1, 2)).max() > 1e-3
    np.testing.assert_allclose(lean.predict_on_batch(image), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [*PAPERS, "unet"])
@pytest.mark.parametrize(("pooling", "maxout"), [("max", 3), ("conv", 3), ("max", 1)])
def test_outputs_stay(architecture: str, pooling: str, maxout: int) -> None:
    network, contract = _trained(architecture, style=Style(width=0.1, maxout=maxout, pooling=pooling))
    lean = for_inference(network, contract=contract, precision="float32")
    assert _norms(network) and not _norms(lean)
    _compare(lean, network)


@pytest.mark.parametrize("normalisation", ["batch", "dropout"])
def test_a_first_cnn_alone_keeps_its_outputs(normalisation: str) -> None:
    style = Style(width=0.1, maxout=3, normalisation=normalisation)
    network, _ = _trained("two_path", style=style)
    lean = fold_cnn1(network, style=style)
    assert not _norms(lean) and lean.count_params() <= network.count_params()
    _compare(lean, network)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", CASCADES)
@pytest.mark.parametrize("normalisation", ["batch", "none"])
def test_outputs_stay_where_cnn2_sees_the_scores_of_cnn1(architecture: str, normalisation: str) -> None:
    """The ReLU sees the scores themselves, so CNN 1's output layer must not give them relative to class 0's."""
    style = Style(width=0.1, cnn1_output="relu_batch", normalisation=normalisation)
    network, contract = _trained(architecture, style=style)
    last = network.get_layer("cnn1").get_layer("output")
    last.bias.assign([1.5, -0.5, 2.0, 0.5, 1.0])
    network.get_layer("cnn2").get_layer("output").kernel.assign(
        np.random.default_rng(4).normal(0, 0.02, network.get_layer("cnn2").get_layer("output").kernel.shape)
    )
    lean = for_inference(network, contract=contract, precision="float32")
    _compare(lean, network)


def test_a_negative_scale_keeps_the_normalisation() -> None:
    network, contract = _trained("two_path", style=Style(width=0.1), negative=True)
    same = for_inference(network, contract=contract, precision="float32")
    image = np.random.default_rng(2).normal(size=(1, 40, 40, 4)).astype(np.float32)
    assert _norms(same)
    np.testing.assert_allclose(same.predict_on_batch(image), network.predict_on_batch(image), atol=1e-6)


def test_without_normalisation_nothing_but_the_precision_changes() -> None:
    network, contract = _trained("two_path", style=Style(width=0.1, normalisation="none"))
    image = np.random.default_rng(3).normal(size=(1, 40, 40, 4)).astype(np.float32)
    rough = for_inference(network, contract=contract, precision="bfloat16").predict_on_batch(image)
    assert rough.dtype == np.float32
    np.testing.assert_allclose(rough, network.predict_on_batch(image), atol=0.02)
