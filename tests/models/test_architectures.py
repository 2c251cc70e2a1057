"""The four architectures against the numbers that the paper prints (section 3, Fig. 2 to 5)."""

import math

import keras
import numpy as np
import pytest

from brats_cascade.models.build import build_model, load_network
from brats_cascade.models.cascade import GEOMETRY, PAPERS
from brats_cascade.models.two_path import Style, build_two_path

PRINTED_WEIGHTS = {"two_path": 651_488, "input_cascade": 802_368, "local_cascade": 654_368, "mf_cascade": 662_513}
PRINTED_PATCH = {"two_path": 33, "input_cascade": 65, "local_cascade": 56, "mf_cascade": 53}
THIN = Style(width=0.1)


def _last_cnn(model: keras.Model) -> keras.Model:
    return model if model.name == "two_path" else model.get_layer("cnn2")


def _randomised(model: keras.Model, *, seed: int = 0) -> keras.Model:
    """Weights large enough that the outputs depend on every input, moving statistics included."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [np.abs(rng.normal(0.2, 0.15, weight.shape)).astype(np.float32) for weight in model.get_weights()]
    )
    return model


@pytest.mark.parametrize("architecture", PAPERS)
def test_kernel_weights_are_the_papers(architecture: str) -> None:
    model = build_model(architecture, style=Style(maxout=1, normalisation="none"))
    kernels = [weight for weight in _last_cnn(model).weights if weight.name == "kernel"]  # what the paper counts
    assert sum(math.prod(weight.shape) for weight in kernels) == PRINTED_WEIGHTS[architecture]


def test_two_path_with_two_pieces_and_biases_counts_809637() -> None:
    assert build_two_path(style=Style(normalisation="none")).count_params() == 809_637


@pytest.mark.slow
@pytest.mark.parametrize("architecture", PAPERS)
def test_one_patch_gives_one_pixel(architecture: str) -> None:
    side = PRINTED_PATCH[architecture]
    assert GEOMETRY[architecture].patch == side
    model = build_model(architecture, style=THIN)
    output = model.predict_on_batch(np.zeros((1, side, side, 4), np.float32))
    assert output.shape == (1, 1, 1, 5)
    np.testing.assert_allclose(output.sum(), 1, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "joined"), [("input_cascade", 9), ("local_cascade", 69), ("mf_cascade", 229)])
def test_joined_maps_are_the_papers(architecture: str, joined: int) -> None:
    name = {"input_cascade": "join_input", "local_cascade": "join_local", "mf_cascade": "paths"}[architecture]
    layer = _last_cnn(build_model(architecture)).get_layer(name)
    assert layer.output.shape[-1] == joined


@pytest.mark.slow
@pytest.mark.parametrize("architecture", PAPERS)
@pytest.mark.parametrize("style", [THIN, Style(width=0.1, normalisation="none", pooling="conv", maxout=3)])
def test_a_slice_equals_its_patches(architecture: str, style: Style) -> None:
    model = _randomised(build_model(architecture, modalities=3, classes=4, style=style))
    side = GEOMETRY[architecture].patch
    rng = np.random.default_rng(1)
    image = rng.normal(0, 1, (1, side + 3, side + 2, 3)).astype(np.float32)
    whole = model.predict_on_batch(image)
    assert whole.shape == (1, 4, 3, 4)
    for row, column in [(0, 0), (3, 2), (1, 2)]:
        patch = model.predict_on_batch(image[:, row : row + side, column : column + side])
        np.testing.assert_allclose(whole[0, row, column], patch[0, 0, 0], atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["input_cascade", "local_cascade", "mf_cascade"])
def test_a_cascade_uses_its_first_cnn(architecture: str) -> None:
    model = build_model(architecture, style=THIN)
    rng = np.random.default_rng(2)
    for weight in model.get_layer("cnn2").get_layer("output").weights:
        weight.assign(rng.normal(0, 0.01, weight.shape))
    side = GEOMETRY[architecture].patch
    image = rng.normal(0, 1, (2, side, side, 4)).astype(np.float32)
    before = model.predict_on_batch(image)
    bias = model.get_layer("cnn1").get_layer("output").bias
    bias.assign(np.array([9, 0, 0, 0, 0], np.float32))
    assert np.abs(model.predict_on_batch(image) - before).max() > 1e-4


def test_the_second_cnn_looks_at_the_centre_of_the_image() -> None:
    """With the first CNN made constant, only the inner 33x33 of the 65x65 patch matters."""
    model = build_model("input_cascade", style=Style(width=0.1, normalisation="none"))
    for weight in model.get_layer("cnn1").get_layer("output").weights:
        weight.assign(np.zeros(weight.shape))
    rng = np.random.default_rng(3)
    image = rng.normal(0, 1, (1, 65, 65, 4)).astype(np.float32)
    before = model.predict_on_batch(image)
    outside, inside = image.copy(), image.copy()
    outside[:, :16] += 1
    outside[:, :, -16:] += 1
    inside[:, 16:49, 16:49] += 1
    np.testing.assert_allclose(model.predict_on_batch(outside), before, atol=1e-6)
    assert np.abs(model.predict_on_batch(inside) - before).max() > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("architecture", PAPERS)
def test_a_saved_network_answers_the_same(architecture: str, tmp_path) -> None:
    model = _randomised(build_model(architecture, style=THIN))
    model.save(tmp_path / "model.keras")
    again = load_network(tmp_path / "model.keras")
    image = np.random.default_rng(4).normal(0, 1, (1, 68, 68, 4)).astype(np.float32)
    np.testing.assert_array_equal(again.predict_on_batch(image), model.predict_on_batch(image))


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(ValueError, match=r"expected one of .* received 'three_path'"):
        build_model("three_path")
