"""The moving average of the weights, against a loop over single numbers."""

import keras
import numpy as np

from brats_cascade.training.averaging import EVERY, Average
from brats_cascade.training.checkpoint import assign_values, values_of


def _network() -> keras.Model:
    layers = [keras.layers.Dense(2), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5, seed=3)]
    network = keras.Sequential(layers)
    network.build((None, 3))
    return network


def test_every_number_follows_the_recursion_and_the_network_gets_its_own_back(rng) -> None:
    network, decay = _network(), 0.9
    numbers = [one for one in network.variables if one.dtype == "float32"]
    assert {one.path.rpartition("/")[2] for one in numbers} >= {"kernel", "gamma", "moving_mean", "moving_variance"}
    average, expected = Average(network, decay=decay), 0.0
    for step in range(0, 9 * EVERY, EVERY):
        assign_values(numbers, [rng.normal(size=one.shape).astype(np.float32) for one in numbers])
        average.update(step)
        kept = [value.copy() for value in average.values]
        average.update(step + 1)  # between two updates nothing changes
        for before, value in zip(kept, average.values, strict=True):
            np.testing.assert_array_equal(value, before)
        value = float(network.layers[0].kernel[1, 0])
        mine = min(decay, (1 + step) / (10 + step)) ** EVERY
        expected = value if step == 0 else mine * expected + (1 - mine) * value
    own = values_of(network.variables)
    with average.in_place():
        inside = values_of(network.variables)
        np.testing.assert_allclose(inside[0][1, 0], expected, rtol=1e-5)
        changed = [not np.array_equal(*pair) for pair in zip(inside, own, strict=True)]
        assert changed == [one.dtype == "float32" for one in network.variables]
    for value, before in zip(values_of(network.variables), own, strict=True):
        np.testing.assert_array_equal(value, before)


def test_a_constant_is_its_own_average_and_without_a_decay_nothing_is_kept() -> None:
    network = _network()
    average, off = Average(network, decay=0.99), Average(network, decay=0.0)
    for step in range(5):
        average.update(step)
        off.update(step)
    assert off.values == []
    with average.in_place():
        np.testing.assert_array_equal(average.values[0], values_of(network.variables)[0])
