"""Gradient descent whose momentum is a variable, so that it can rise during training (paper section 4: 0.5 to 0.9)."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="brats_cascade")
class RampSGD(keras.optimizers.Optimizer):
    """Stochastic gradient descent with a momentum that can be set between steps.

    Keras's own SGD bakes `momentum` into the traced step as a number: changing it later has no effect. Here it is a
    variable of the optimiser. One step: velocity = momentum * velocity - rate * gradient; weight += velocity.

    Args:
        learning_rate: Rate.
        momentum: At the start; set `optimizer.momentum` between steps.
        **kwargs: As in Keras, such as `global_clipnorm`.

    Raises:
        ValueError: A momentum outside 0..1.
    """

    def __init__(self, learning_rate: float = 0.005, *, momentum: float = 0.5, **kwargs: Any) -> None:
        kwargs.setdefault("name", "ramp_sgd")
        super().__init__(learning_rate=learning_rate, **kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"RampSGD needs 0 <= momentum < 1, received momentum={momentum}")
        self._first_momentum = momentum

    def build(self, variables: Any) -> None:
        """Makes the momentum and one velocity per weight."""
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
        """Moves one weight."""
        rate, momentum = (ops.cast(value, variable.dtype) for value in (learning_rate, self._momentum))
        velocity = self._velocities[self._get_variable_index(variable)]
        step = ops.subtract(ops.multiply(momentum, velocity), ops.multiply(rate, ops.cast(gradient, variable.dtype)))
        self.assign(velocity, step)
        self.assign_add(variable, step)

    def get_config(self) -> dict[str, Any]:
        """Arguments of `__init__`."""
        return {**super().get_config(), "momentum": self._first_momentum}
