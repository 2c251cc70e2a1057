"""Device time under JAX: Keras's compiled steps on inputs that are already on the device, with one wait at the end."""

from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

from benchmarks.common import best

Call = tuple[Any, Any]  # a network, and what its predict_on_batch was given


def recorded(work: Callable[[], object]) -> list[Call]:
    """What a piece of work gave to networks' predict_on_batch, one pass after the other, on the device."""
    import jax
    import keras

    calls: list[Call] = []
    original = keras.Model.predict_on_batch

    def note(network: Any, inputs: Any) -> Any:
        calls.append((network, jax.device_put(inputs)))
        return original(network, inputs)

    with patch.object(keras.Model, "predict_on_batch", note):
        work()
    return calls


def predict_seconds(calls: Sequence[Call], *, repeats: int = 3) -> float:
    """Seconds of the device for all passes one after the other; their networks have made each once."""
    import jax

    states = {id(network): _copied(network, optimizer=False) for network, _ in calls}

    def work() -> None:
        found = []
        for network, inputs in calls:
            outputs, states[id(network)] = network.predict_function(states[id(network)], iter([(inputs,)]))
            found.append(outputs)
        jax.block_until_ready(found)

    return best(work, repeats=repeats)


def step_seconds(trainer: Any, batch: Sequence[Any], *, steps: int = 10, repeats: int = 3) -> float:
    """Seconds of the device for one training step; the trainer's weights stay as they are.

    Args:
        trainer: Compiled.
        batch: Inputs, targets and weights of the pixels, as `train_on_batch` takes them.
        steps: In a row.
        repeats: Of which the fastest counts.
    """
    import jax

    trainer.make_train_function()
    given, state = jax.device_put(tuple(batch)), _copied(trainer, optimizer=True)

    def work() -> None:
        nonlocal state
        for _ in range(steps):
            logs, state = trainer.train_function(state, iter([given]))
        jax.block_until_ready((logs, state))

    return best(work, repeats=repeats) / steps


def _copied(network: Any, *, optimizer: bool) -> Any:
    """The values that a compiled step takes and gives back; copies, as it uses up what it is given."""
    import jax
    import jax.numpy as jnp

    parts = [network.trainable_variables, network.non_trainable_variables]
    if optimizer:
        parts += [network.optimizer.variables, network.metrics_variables]
    return jax.tree.map(jnp.copy, tuple([variable.value for variable in part] for part in parts))
