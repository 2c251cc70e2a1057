"""What computes: one device, several devices of one host, or several hosts, data-parallel (docs/distributed.md)."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from brats_cascade.errors import UserError
from brats_cascade.training.batches import Batch


class Devices:
    """One device, or a backend that shares batches out by itself (JAX with keras.distribution).

    Attributes:
        reduction: Of the loss over pixels.
        writes: This process writes checkpoints and results; only one of several workers does.
    """

    reduction = "mean_with_sample_weight"

    def __init__(self, *, writes: bool = True) -> None:
        self.writes = writes

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Where networks and optimisers are made."""
        return contextlib.nullcontext()

    def stepper(self, trainer: Any) -> Callable[[Batch], float]:
        """A function that makes one step of descent and gives the loss of its batch."""

        def step(batch: Batch) -> float:
            inputs = batch.inputs if len(batch.inputs) > 1 else batch.inputs[0]
            targets, weights = batch.targets[..., None], batch.weights
            return float(trainer.train_on_batch(inputs, targets, sample_weight=weights, return_dict=True)["loss"])

        return step


ONE_DEVICE = Devices()


class Replicas(Devices):
    """Replicas of a tf.distribute strategy: each takes its share of every batch, and the gradients are summed.

    The loss is the weighted mean over the pixels of the whole batch, as on one device: weights are divided by their sum
    over the whole batch before it is cut, and each replica sums. Every process makes the whole batch and uses its part:
    cutting windows costs little beside the convolutions, and no process has to ask another.

    Args:
        strategy: Of TensorFlow.
        writes: This process writes.
    """

    reduction = "sum"

    def __init__(self, strategy: Any, *, writes: bool) -> None:
        super().__init__(writes=writes)
        self._strategy = strategy

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The strategy's."""
        return self._strategy.scope()

    def stepper(self, trainer: Any) -> Callable[[Batch], float]:
        """A function that makes one step of descent, each replica on its own windows, and gives the whole batch's loss.

        Keras's own train_on_batch would give every replica the whole batch, and under the multi-worker strategy it fails to
        reduce a loss that is a single number (Keras 3.15), so the step is traced here.
        """
        import tensorflow as tf

        @tf.function(reduce_retracing=True)
        def run(data: Any) -> Any:
            logs = self._strategy.run(trainer.train_step, args=(data,))
            return self._strategy.reduce("MEAN", logs["loss"], axis=None)

        def step(batch: Batch) -> float:
            trainer.reset_metrics()
            return float(run(self._share(batch)))

        return step

    def _share(self, batch: Batch) -> tuple[Any, Any, Any]:
        """Inputs, targets and weights per replica.

        Raises:
            UserError: The windows of a batch do not share out evenly.
        """
        count = self._strategy.num_replicas_in_sync
        if len(batch.targets) % count:
            raise UserError(
                f"train.batch: expected a multiple of the {count} devices, received a batch of {len(batch.targets)}; "
                "change train.batch, or the devices in use (docs/distributed.md)"
            )
        weights = batch.weights / max(float(batch.weights.sum()), 1e-12)
        inputs = [self._cut(part) for part in batch.inputs]
        return (
            inputs if len(inputs) > 1 else inputs[0],
            self._cut(batch.targets[..., None]),
            self._cut(weights.astype(np.float32)),
        )

    def _cut(self, values: np.ndarray) -> Any:
        parts = np.split(values, self._strategy.num_replicas_in_sync)
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: _tensor(parts[context.replica_id_in_sync_group])
        )


def _tensor(values: np.ndarray) -> Any:
    import tensorflow as tf

    return tf.convert_to_tensor(values)


def open_devices(kind: str) -> Devices:
    """Takes hold of the devices; call it before anything else computes.

    Args:
        kind: "one"; "local": all devices of this host; "workers": several hosts, described by TF_CONFIG (TensorFlow)
            or by KERAS_DISTRIBUTION_* variables (JAX).

    Returns:
        The devices; one device where there is only one.

    Raises:
        UserError: TF_CONFIG is missing.
        ValueError: `kind` is none of the three.
    """
    import keras

    if kind == "one":
        return ONE_DEVICE
    if kind not in ("local", "workers"):
        raise ValueError(f"expected devices 'one', 'local' or 'workers', received {kind!r}")
    if keras.backend.backend() == "jax":
        if kind == "workers":
            keras.distribution.initialize()
        keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
        return Devices(writes=_first_process())
    return _tensorflow_devices(kind)


def _first_process() -> bool:
    import jax

    return bool(jax.process_index() == 0)


def _tensorflow_devices(kind: str) -> Devices:
    import os

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
