"""Learning-rate schedules, and the momentum that truly changes, in closed form."""

import keras
import numpy as np
import pytest
from settings import train_settings

from brats_cascade.training.descent import Descent
from brats_cascade.training.optimizers import RampSGD


def _descent(*, phase: int = 1, **changes) -> Descent:
    settings = {"optimizer": "sgd", "learning_rate": 0.01, "momentum_start": 0.5, "momentum": 0.9, "clip_norm": 0.0}
    return Descent(train_settings(**{**settings, "schedule": "cosine", "output_rate": 1.0, **changes}), phase)


@pytest.mark.parametrize(
    ("schedule", "middle"),
    [("cosine", 0.55), ("linear", 0.55), ("exponential", 0.1**0.5), ("constant", 1.0)],
)
def test_a_schedule_goes_from_the_first_rate_to_the_last(schedule: str, middle: float) -> None:
    descent = _descent(schedule=schedule)
    assert descent.rate(0, steps=101) == pytest.approx(0.01)
    assert descent.rate(50, steps=101) == pytest.approx(0.01 * middle)
    assert descent.rate(100, steps=101) == pytest.approx(0.01 if schedule == "constant" else 0.001)
    assert descent.rate(0, steps=1) == pytest.approx(0.01)


def test_a_warm_up_rises_to_the_schedule_in_equal_steps() -> None:
    plain, warm = (_descent(schedule="linear", warmup=share) for share in (0.0, 0.2))
    rates, risen = ([one.rate(step, steps=20) for step in range(20)] for one in (plain, warm))
    np.testing.assert_allclose(np.array(risen[:4]) / rates[:4], [0.25, 0.5, 0.75, 1])
    assert risen[4:] == rates[4:]


def test_phase_2_starts_at_its_own_share_of_the_rate() -> None:
    first, second = (_descent(phase=phase, phase2_rate=0.25) for phase in (1, 2))
    assert first.rate(0, steps=10) == pytest.approx(0.01)
    assert second.rate(0, steps=10) == pytest.approx(0.0025)
    assert second.rate(9, steps=10) == pytest.approx(0.00025)


def test_the_exponential_schedule_divides_by_the_same_factor_each_step() -> None:
    rates = [_descent(schedule="exponential").rate(step, steps=30) for step in range(30)]
    ratios = np.array(rates[1:]) / rates[:-1]
    np.testing.assert_allclose(ratios, 0.1 ** (1 / 29))


def test_the_momentum_rises_linearly_from_the_papers_start_to_its_end() -> None:
    descent = _descent()
    assert [descent.momentum(step, steps=5) for step in range(5)] == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9])


def _trainer(optimizer: keras.optimizers.Optimizer | Descent) -> keras.Model:
    """One weight w with the loss w * x - y, so the gradient is x whatever w is."""
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs))
    built = optimizer.build(model.trainable_variables)
    model.compile(optimizer=built or optimizer, loss=lambda y, p: keras.ops.mean(p - y))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("jit", [False, True])
def test_a_ramped_momentum_moves_the_weight_as_in_closed_form(jit: bool) -> None:
    """Constant gradient 1: v(t) = m(t) v(t-1) - r(t); w(t) = w(t-1) + v(t), also in the traced step."""
    descent = _descent(schedule="linear", learning_rate=0.1)
    model = _trainer(descent)
    model.jit_compile = jit
    weight = velocity = 0.0
    for step in range(6):
        descent.set_step(model.optimizer, step=step, steps=6)
        momentum, rate = 0.5 + 0.4 * step / 5, 0.1 * (1 - 0.9 * step / 5)
        velocity = momentum * velocity - rate * 1.0
        weight += velocity
        model.train_on_batch(np.ones((1, 1)), np.zeros((1, 1)))
        assert float(model.get_weights()[0][0, 0]) == pytest.approx(weight, rel=1e-5)


def _ends(*optimizers: keras.optimizers.Optimizer | Descent) -> list[float]:
    """The weight after five batches under each."""
    rng = np.random.default_rng(0)
    batches, ends = [(rng.normal(size=(4, 1)), rng.normal(size=(4, 1))) for _ in range(5)], []
    for optimizer in optimizers:
        model = _trainer(optimizer)
        for inputs, targets in batches:
            model.train_on_batch(inputs, targets)
        ends.append(float(model.get_weights()[0][0, 0]))
    return ends


def test_a_constant_momentum_is_keras_own_sgd() -> None:
    own, theirs = (kind(0.1, momentum=0.8, global_clipnorm=0.5) for kind in (RampSGD, keras.optimizers.SGD))
    mine, expected = _ends(own, theirs)
    assert mine == pytest.approx(expected, rel=1e-6) and mine != 0


def test_the_momentum_is_part_of_the_optimisers_state_and_configuration() -> None:
    optimizer = RampSGD(0.1, momentum=0.3)
    _trainer(optimizer)
    assert "momentum" in {variable.name for variable in optimizer.variables}
    optimizer.momentum = 0.7
    assert float(keras.ops.convert_to_numpy(optimizer.momentum.value)) == pytest.approx(0.7)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, RampSGD) and again.get_config()["momentum"] == 0.3


def test_what_cannot_be_is_refused() -> None:
    assert train_settings(schedule="linear", final_rate=0).final_rate == 0
    with pytest.raises(ValueError, match=r"final_rate\n.*expected a number above 0 with schedule: exponential"):
        train_settings(schedule="exponential", final_rate=0)
    with pytest.raises(ValueError, match="momentum=1"):
        RampSGD(0.1, momentum=1)


def _two_layers(descent: Descent) -> keras.Model:
    """Weights u and w with the loss u * x + w * x - y: both gradients are x."""
    inputs = keras.Input((1,))
    parts = [keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name=name)(inputs) for name in "uw"]
    model = keras.Model(inputs, keras.layers.Add()(parts))
    optimizer = descent.build(model.trainable_variables, wide=[model.get_layer("w").kernel])
    model.compile(optimizer=optimizer, loss=lambda y, p: keras.ops.mean(p - y))
    return model


@pytest.mark.slow
@pytest.mark.parametrize(("name", "moved"), [("adam", -0.1), ("sgd", -0.1 * (1 + 1.5 + 1.75))])
@pytest.mark.parametrize("jit", [False, True])
def test_a_weight_with_a_share_of_the_rate_moves_by_that_share(name: str, moved: float, jit: bool) -> None:
    """Constant gradient 1: each Adam step is the rate; three steps of SGD with momentum 0.5 are 1, 1.5 and 1.75 rates."""
    steps = 3
    descent = _descent(
        optimizer=name, schedule="constant", learning_rate=0.1, momentum=0.5, momentum_start=0.5, output_rate=0.25
    )
    model = _two_layers(descent)
    model.jit_compile = jit
    for step in range(steps):
        descent.set_step(model.optimizer, step=step, steps=steps)
        model.train_on_batch(np.ones((1, 1)), np.zeros((1, 1)))
    expected = moved * steps if name == "adam" else moved
    whole, slow = (float(model.get_layer(layer).get_weights()[0][0, 0]) for layer in "uw")
    assert whole == pytest.approx(expected, rel=1e-4)
    assert slow == pytest.approx(expected / 4, rel=1e-4)


def test_without_a_share_adam_is_keras_own() -> None:
    mine, expected = _ends(_descent(optimizer="adam", learning_rate=0.1), keras.optimizers.Adam(0.1))
    assert mine == expected != 0
