"""Maxout and the wide output layer against plain NumPy and the direct convolution."""

import keras
import numpy as np
import pytest

from brats_cascade.models.layers import Maxout, WideOutput


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_maxout_is_the_maximum_over_pieces(pieces: int) -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 4, 6 * pieces)).astype(np.float32)
    expected = values.reshape(2, 3, 4, pieces, 6).max(axis=3)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(Maxout(pieces)(values)), expected)


def test_maxout_refuses_channels_it_cannot_divide() -> None:
    with pytest.raises(ValueError, match="multiple"):
        Maxout(2)(np.zeros((1, 2, 2, 5), np.float32))


def _pair(*, size: int, classes: int, maps: int) -> tuple[WideOutput, WideOutput]:
    fast, direct = WideOutput(classes, size=size), WideOutput(classes, size=size, form="direct")
    rng = np.random.default_rng(1)
    kernel, bias = rng.normal(0, 0.05, (size, size, maps, classes)), rng.normal(size=classes)
    for layer in (fast, direct):
        layer.build((None, None, None, maps))
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)
    return fast, direct


def test_wide_output_equals_a_naive_loop() -> None:
    fast, _ = _pair(size=5, classes=3, maps=4)
    image = np.random.default_rng(2).normal(size=(1, 8, 7, 4)).astype(np.float32)
    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in (fast.kernel, fast.bias))
    expected = np.zeros((1, 4, 3, 3))
    for row in range(4):
        for column in range(3):
            field = image[0, row : row + 5, column : column + 5]
            expected[0, row, column] = np.einsum("ijc,ijck->k", field, kernel) + bias
    np.testing.assert_allclose(keras.ops.convert_to_numpy(fast(image)), expected, atol=1e-5)


def test_wide_output_equals_the_direct_convolution_at_full_size() -> None:
    fast, direct = _pair(size=21, classes=5, maps=32)
    image = np.random.default_rng(3).normal(size=(2, 27, 30, 32)).astype(np.float32)
    found, expected = (keras.ops.convert_to_numpy(layer(image)) for layer in (fast, direct))
    assert found.shape == (2, 7, 10, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_wide_output_has_the_gradients_of_the_direct_convolution() -> None:
    """One step of plain descent from equal weights moves both forms' weights equally."""
    image = np.random.default_rng(4).normal(size=(1, 9, 9, 6)).astype(np.float32)
    target = np.random.default_rng(5).integers(0, 3, (1, 5, 5, 1))
    after = []
    for layer in _pair(size=5, classes=3, maps=6):
        inputs = keras.Input((None, None, 6))
        model = keras.Model(inputs, layer(inputs))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=keras.optimizers.SGD(1.0), loss=loss)
        start = [keras.ops.convert_to_numpy(weight) for weight in layer.weights]
        model.train_on_batch(image, target)
        after.append([keras.ops.convert_to_numpy(w) - s for w, s in zip(layer.weights, start, strict=True)])
    for fast, direct in zip(*after, strict=True):
        assert np.abs(direct).max() > 1e-3
        np.testing.assert_allclose(fast, direct, atol=1e-6)


def test_wide_output_keeps_its_configuration() -> None:
    layer = WideOutput(4, size=7, spread=0.002, form="direct")
    again = WideOutput.from_config(layer.get_config())
    assert (again.classes, again.size, again.spread, again.form) == (4, 7, 0.002, "direct")


def test_wide_output_refuses_an_unknown_form() -> None:
    with pytest.raises(ValueError, match="'columns' or 'direct'"):
        WideOutput(3, form="rows")
