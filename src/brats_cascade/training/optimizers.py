"""Optimisers that Keras lacks: momentum that rises during training (paper section 4), and separate rates for some weights."""

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops


class RateShares:
    """Optimiser mixin: some weights move at a share of the learning rate. The shares are not saved with the optimiser."""

    _shares: dict[int, float] | None = None

    def slow_down(self, variables: Iterable[Any], *, share: float) -> None:
        """Sets the share of the learning rate for some of the weights passed to `build`; all others use the full rate."""
        self._shares = {self._get_variable_index(variable): share for variable in variables}  # type: ignore[attr-defined]

    def own_rate(self, variable: Any, *, learning_rate: Any) -> Any:
        """The learning rate of one weight."""
        share = (self._shares or {}).get(self._get_variable_index(variable), 1.0)  # type: ignore[attr-defined]
        return learning_rate if share == 1 else ops.multiply(learning_rate, share)


@keras.saving.register_keras_serializable(package="brats_cascade")
class RateShareAdam(RateShares, keras.optimizers.Adam):
    """Keras's Adam with `slow_down`."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one weight."""
        super().update_step(gradient, variable, self.own_rate(variable, learning_rate=learning_rate))


@keras.saving.register_keras_serializable(package="brats_cascade")
class RampSGD(RateShares, keras.optimizers.Optimizer):
    """Stochastic gradient descent whose momentum can be changed between steps.

    In Keras's SGD, `momentum` is a constant of the compiled step, so changing it later has no effect. Here it is a
    variable: set `optimizer.momentum` between steps. One step: velocity = momentum * velocity - rate * gradient;
    weight += velocity.
    """

    def __init__(self, learning_rate: float = 0.005, *, momentum: float = 0.5, **kwargs: Any) -> None:
        kwargs.setdefault("name", "ramp_sgd")
        super().__init__(learning_rate=learning_rate, **kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"RampSGD needs 0 <= momentum < 1, received momentum={momentum}")
        self._first_momentum = momentum

    def build(self, variables: Any) -> None:
        """Creates the momentum variable and one velocity per weight."""
        if self.built:
            return
        super().build(variables)
        start = keras.initializers.Constant(self._first_momentum)
        self._momentum = self.add_variable((), initializer=start, name="momentum")
        self._velocities = [self.add_variable_from_reference(variable, name="velocity") for variable in variables]

    @property
    def momentum(self) -> Any:
        """The variable; assigning a number sets it for the next steps."""
        return self._momentum

    @momentum.setter
    def momentum(self, value: float) -> None:
        self._momentum.assign(value)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one weight."""
        own = self.own_rate(variable, learning_rate=learning_rate)
        rate, momentum = (ops.cast(value, variable.dtype) for value in (own, self._momentum))
        velocity = self._velocities[self._get_variable_index(variable)]
        step = ops.subtract(ops.multiply(momentum, velocity), ops.multiply(rate, ops.cast(gradient, variable.dtype)))
        self.assign(velocity, step)
        self.assign_add(variable, step)

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {**super().get_config(), "momentum": self._first_momentum}
