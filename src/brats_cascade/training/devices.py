"""Data-parallel training on one device, all devices of one host, or several hosts (docs/distributed.md)."""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import keras

from brats_cascade.errors import UserError
from brats_cascade.training.batches import Batch


class Devices:
    """A single device.

    Attributes:
        reduction: How the loss is reduced over pixels.
        writes: Whether this process writes checkpoints and results; only one of several workers does.
    """

    reduction = "mean_with_sample_weight"

    def __init__(self, *, writes: bool = True) -> None:
        self.writes = writes

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which networks and optimisers are created."""
        return contextlib.nullcontext()

    def stepper(self, trainer: Any) -> Callable[[Batch], float]:
        """A function that makes one optimiser step and returns the loss of its batch."""

        def step(batch: Batch) -> float:
            targets, weights = batch.targets[..., None], batch.weights
            return float(trainer.train_on_batch(batch.given, targets, sample_weight=weights, return_dict=True)["loss"])

        return step


ONE_DEVICE = Devices()


class Sharded(Devices):
    """All JAX devices under Keras's distribution, which reduces losses and gradients over the whole batch.

    Each process makes the whole batch and passes its own share of the windows. `devices` is the number of devices over all
    processes, `number` the index of this process; process 0 writes.
    """

    def __init__(self, *, devices: int, processes: int = 1, number: int = 0) -> None:
        super().__init__(writes=number == 0)
        self._devices, self._processes, self._number = devices, processes, number

    def stepper(self, trainer: Any) -> Callable[[Batch], float]:
        """A function that makes one optimiser step on the windows of all processes, and returns the whole batch's loss."""
        step_own = super().stepper(trainer)

        def step(batch: Batch) -> float:
            check_share(batch, devices=self._devices)
            own = slice(*(len(batch.targets) * edge // self._processes for edge in (self._number, self._number + 1)))
            return step_own(Batch([part[own] for part in batch.inputs], batch.targets[own], batch.weights[own]))

        return step


class Replicas(Devices):
    """The replicas of a TensorFlow strategy: each processes its share of every batch, and the gradients are summed.

    The loss is the weighted mean over the pixels of the whole batch, as on one device: weights are divided by their
    sum over the whole batch before it is split, and each replica sums. Every process makes the whole batch and uses
    its share: cutting windows is cheap compared with the convolutions, and the processes need not exchange batches.
    """

    reduction = "sum"

    def __init__(self, strategy: Any, *, writes: bool) -> None:
        super().__init__(writes=writes)
        self._strategy, self._count = strategy, strategy.num_replicas_in_sync

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The strategy's scope."""
        return self._strategy.scope()

    def stepper(self, trainer: Any) -> Callable[[Batch], float]:
        """A function that makes one optimiser step, each replica on its own windows, and returns the whole batch's loss.

        Keras's train_on_batch would give every replica the whole batch, and its optimisers clip the gradients of each replica
        before they are summed (Keras 3.15), so the step is written out here.
        """
        import tensorflow as tf

        optimizer, variables = trainer.optimizer, trainer.trainable_variables

        def descend(inputs: Any, targets: Any, weights: Any) -> Any:
            with tf.GradientTape() as tape:
                scores = trainer(inputs, training=True)
                loss = trainer.compute_loss(x=inputs, y=targets, y_pred=scores, sample_weight=weights)
            gradients = tape.gradient(loss, [variable.value for variable in variables])
            gradients = tf.distribute.get_replica_context().all_reduce("SUM", gradients)
            if optimizer.global_clipnorm:
                gradients, _ = tf.clip_by_global_norm(gradients, optimizer.global_clipnorm)
            optimizer.apply([gradient / self._count for gradient in gradients], variables)  # would sum them again
            return loss

        @tf.function(reduce_retracing=True)
        def run(data: Any) -> Any:
            return self._strategy.reduce("SUM", self._strategy.run(descend, args=data), axis=None)

        return lambda batch: float(run(self._share(batch)))

    def _share(self, batch: Batch) -> Any:
        """The inputs, targets and weights of each replica."""
        import tensorflow as tf

        check_share(batch, devices=self._count)
        weights = batch.weights / max(float(batch.weights.sum()), 1e-12)
        whole = (batch.given, batch.targets[..., None], weights.astype("float32"))
        size = len(batch.targets) // self._count

        def part(context: Any) -> Any:
            place = context.replica_id_in_sync_group * size
            return tf.nest.map_structure(lambda values: tf.convert_to_tensor(values[place : place + size]), whole)

        return self._strategy.experimental_distribute_values_from_function(part)


def check_share(batch: Batch, *, devices: int) -> None:
    """Refuses a batch that cannot be shared out equally.

    Raises:
        UserError: The number of windows is not a multiple of the number of devices.
    """
    if len(batch.targets) % devices:
        raise UserError(
            f"train.batch: expected a multiple of the {devices} devices, received a batch of {len(batch.targets)}; "
            "change train.batch, or the devices in use (docs/distributed.md)"
        )


def open_devices(kind: str) -> Devices:
    """Initialises the devices; must be called before any other computation.

    The kind is "one", "local" (all devices of this host) or "workers" (several hosts, described by TF_CONFIG for
    TensorFlow, which is then required, or by KERAS_DISTRIBUTION_* variables for JAX).
    """
    if kind == "one":
        return ONE_DEVICE
    return _jax_devices(kind) if keras.backend.backend() == "jax" else _tensorflow_devices(kind)


def _jax_devices(kind: str) -> Devices:
    import jax

    if kind == "workers":
        keras.distribution.initialize()
    if jax.device_count() == 1:
        return ONE_DEVICE
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    return Sharded(devices=jax.device_count(), processes=jax.process_count(), number=jax.process_index())


def _tensorflow_devices(kind: str) -> Devices:
    import tensorflow as tf

    if kind == "workers":
        if "TF_CONFIG" not in os.environ:
            raise UserError(
                "train.devices: workers needs the variable TF_CONFIG in every process; see docs/distributed.md"
            )
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        return Replicas(strategy, writes=strategy.cluster_resolver.task_id == 0)
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(found) == 1:
        return ONE_DEVICE
    return Replicas(tf.distribute.MirroredStrategy([device.name for device in found]), writes=True)
