"""Replicas of a network under TensorFlow's distribution strategies, that train as one device would."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from brats_cascade.training.batches import Batch
from brats_cascade.training.devices import Devices, check_share


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

        Keras's own train_on_batch would give every replica the whole batch, and its optimisers clip the gradients of each
        replica before they are summed (Keras 3.15), so the step is written out here.
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
            count = self._strategy.num_replicas_in_sync
            optimizer.apply([gradient / count for gradient in gradients], variables)  # which sums them once more
            return loss

        @tf.function(reduce_retracing=True)
        def run(data: Any) -> Any:
            return self._strategy.reduce("SUM", self._strategy.run(descend, args=data), axis=None)

        def step(batch: Batch) -> float:
            return float(run(self._share(batch)))

        return step

    def _share(self, batch: Batch) -> tuple[Any, Any, Any]:
        """Inputs, targets and weights per replica.

        Raises:
            UserError: The windows of a batch do not share out evenly.
        """
        check_share(batch, devices=self._strategy.num_replicas_in_sync)
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
