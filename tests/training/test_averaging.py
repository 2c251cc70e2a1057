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
    for done, passed in ((1, 0), (EVERY, EVERY - 1), *((number * EVERY, EVERY) for number in range(2, 9))):
        assign_values(numbers, [rng.normal(size=one.shape).astype(np.float32) for one in numbers])
        average.update(done)
        kept = [value.copy() for value in average.values]
        average.update(done + 1)  # between two updates nothing changes
        for before, value in zip(kept, average.values, strict=True):
            np.testing.assert_array_equal(value, before)
        value = float(network.layers[0].kernel[1, 0])
        mine = min(decay, done / (9 + done)) ** passed
        expected = value if done == 1 else mine * expected + (1 - mine) * value
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
    for done in range(1, 6):
        average.update(done)
        off.update(done)
    assert off.values == []
    with average.in_place():
        np.testing.assert_array_equal(average.values[0], values_of(network.variables)[0])


def test_an_average_that_is_used_includes_the_last_step() -> None:
    """Weights that are the number of their step: the average is a sum of the steps at which it is updated, in closed form."""
    network, averages = _network(), {}
    for steps, also in ((8, {4, 8}), (25, {25})):
        average = Average(network, decay=0.5, also=also)
        for done in range(1, steps + 1):
            assign_values(
                network.layers[0].trainable_variables, [np.full((3, 2), done, "float32"), np.zeros(2, "float32")]
            )
            average.update(done)
        averages[steps] = average.values[0]
    at_4 = (4 / 13) ** 3 * 1 + (1 - (4 / 13) ** 3) * 4
    at_8 = (8 / 17) ** 4 * at_4 + (1 - (8 / 17) ** 4) * 8
    np.testing.assert_allclose(averages[8], at_8, rtol=1e-6)
    at_10 = 0.5**9 * 1 + (1 - 0.5**9) * 10
    at_20 = 0.5**10 * at_10 + (1 - 0.5**10) * 20
    np.testing.assert_allclose(averages[25], 0.5**5 * at_20 + (1 - 0.5**5) * 25, rtol=1e-6)
