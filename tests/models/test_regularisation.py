"""What a style adds to the loss and to the weights, in closed form."""

import keras
import numpy as np
import pytest

from brats_cascade.models.build import build_model, load_network
from brats_cascade.models.layers import AbsoluteBound
from brats_cascade.models.two_path import Style


def _kernels(model: keras.Model) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(weight.value) for weight in model.weights if weight.name == "kernel"]


@pytest.mark.slow
@pytest.mark.parametrize(("l1", "l2"), [(0.003, 0.0), (0.0, 0.02), (0.003, 0.02)])
@pytest.mark.parametrize("pooling", ["max", "conv"])
def test_l1_and_l2_are_the_kernels_absolute_and_square_sums(l1: float, l2: float, pooling: str) -> None:
    model = build_model("two_path", style=Style(width=0.06, l1=l1, l2=l2, pooling=pooling))
    for weight in model.weights:
        if weight.name == "bias":
            weight.assign(keras.ops.ones(weight.shape))  # biases must not count
    kernels = _kernels(model)
    assert len(kernels) == (4 if pooling == "max" else 6)
    expected = sum(l1 * np.abs(kernel).sum() + l2 * np.square(kernel).sum() for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(float(expected), rel=1e-5)


def test_without_lambdas_nothing_is_added() -> None:
    assert build_model("two_path", style=Style(width=0.06)).losses == []


@pytest.mark.slow
def test_the_bound_clips_every_kernel_after_a_step(tmp_path) -> None:
    model = build_model("two_path", style=Style(width=0.06, normalisation="none", kernel_bound=0.01))
    model.compile(optimizer=keras.optimizers.SGD(10.0), loss="sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    model.train_on_batch(rng.normal(0, 1, (1, 35, 35, 4)), rng.integers(0, 5, (1, 3, 3)))
    largest = [np.abs(kernel).max() for kernel in _kernels(model)]
    assert max(largest) == pytest.approx(0.01) and all(value <= 0.01 + 1e-7 for value in largest)
    model.save(tmp_path / "model.keras")
    again = load_network(tmp_path / "model.keras")
    bounds = [layer.kernel_constraint for layer in again.layers if hasattr(layer, "kernel_constraint")]
    assert [bound.bound for bound in bounds] == [0.01] * 4


def test_a_bound_that_is_none_is_refused() -> None:
    np.testing.assert_allclose(AbsoluteBound(0.5)(np.array([-2.0, -0.2, 0.5, 7])), [-0.5, -0.2, 0.5, 0.5])
    with pytest.raises(ValueError, match="bound=0"):
        AbsoluteBound(0)


@pytest.mark.parametrize("pooling", ["max", "conv"])
def test_the_papers_start_is_uniform_within_five_thousandths(pooling: str) -> None:
    keras.utils.set_random_seed(0)
    for kernel in _kernels(build_model("two_path", style=Style(width=0.3, start="paper", pooling=pooling))):
        assert 0.0049 < np.abs(kernel).max() <= 0.005
        assert kernel.std() == pytest.approx(0.005 / np.sqrt(3), rel=0.1)
        assert abs(kernel.mean()) < 5e-4


@pytest.mark.parametrize(("normalisation", "kinds"), [("batch", 3), ("dropout", 3), ("none", 0)])
def test_each_maxout_is_followed_by_what_the_style_says(normalisation: str, kinds: int) -> None:
    model = build_model("two_path", style=Style(width=0.06, normalisation=normalisation, dropout=0.4))
    wanted = {"batch": keras.layers.BatchNormalization, "dropout": keras.layers.SpatialDropout2D}.get(normalisation)
    assert (
        sum(
            isinstance(layer, keras.layers.BatchNormalization | keras.layers.SpatialDropout2D) for layer in model.layers
        )
        == kinds
    )
    if wanted is not None:
        assert sum(isinstance(layer, wanted) for layer in model.layers) == kinds


@pytest.mark.parametrize("architecture", ["two_path", "coarse_cnn1", "unet"])
def test_without_maxout_each_convolution_is_normalised_before_its_relu(architecture: str) -> None:
    model = build_model(architecture, style=Style(width=0.2, maxout=1))
    rng = np.random.default_rng(0)
    names = [layer.name.removesuffix("_relu") for layer in model.layers if layer.name.endswith("_relu")]
    assert names and not [layer for layer in model.layers if layer.name.endswith("_maxout")]
    image = rng.normal(size=(1, 72, 72, model.inputs[0].shape[-1])).astype(np.float32)
    for name in (names[0], names[-1]):
        norm = model.get_layer(f"{name}_norm")
        gamma, beta, mean, variance = (rng.uniform(0.5, 2, weight.shape) for weight in norm.weights)
        norm.set_weights([gamma, beta, mean, variance])
        parts = [model.get_layer(f"{name}{end}").output for end in ("_conv", "_relu")]
        convolved, found = keras.Model(model.inputs, parts).predict_on_batch(image)
        expected = np.maximum(gamma * (convolved - mean) / np.sqrt(variance + norm.epsilon) + beta, 0)
        assert 0 < (expected == 0).mean() < 1
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("architecture", ["two_path", "unet"])
def test_without_maxout_dropout_follows_each_relu(architecture: str) -> None:
    model = build_model(architecture, style=Style(width=0.1, maxout=1, normalisation="dropout", dropout=0.4))
    blocks = [layer.name.removesuffix("_conv") for layer in model.layers if layer.name.endswith("_conv")]
    assert len(blocks) == {"two_path": 3, "unet": 18}[architecture]
    for block in blocks:
        dropout = model.get_layer(f"{block}_dropout")
        assert dropout.rate == 0.4 and dropout.input is model.get_layer(f"{block}_relu").output
    assert not [layer for layer in model.layers if layer.name.endswith("_norm")]


def test_dropout_drops_whole_maps_in_training_only() -> None:
    keras.utils.set_random_seed(0)
    model = build_model("two_path", style=Style(width=0.5, normalisation="dropout", dropout=0.5))
    image = np.random.default_rng(0).normal(size=(1, 40, 40, 4)).astype(np.float32)
    maps = keras.Model(model.inputs[0], model.get_layer("global_dropout").output)
    before = keras.Model(model.inputs[0], model.get_layer("global_maxout").output)(image, training=False)
    dropped = keras.ops.convert_to_numpy(maps(image, training=True))
    gone = (dropped == 0).all(axis=(0, 1, 2))
    assert 0.3 < gone.mean() < 0.7
    kept = keras.ops.convert_to_numpy(before)[..., ~gone]
    np.testing.assert_allclose(dropped[..., ~gone], kept * 2, rtol=1e-5)  # so that the expectation stays
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(maps(image, training=False)), before)
