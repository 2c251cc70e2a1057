"""Which devices a training computes on: taken hold of before anything else computes."""

from brats_cascade.errors import UserError
from brats_cascade.training.devices import ONE_DEVICE, Devices, Sharded
from brats_cascade.training.replicas import Replicas


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
        return _jax_devices()
    return _tensorflow_devices(kind)


def _jax_devices() -> Devices:
    import jax
    import keras

    if jax.device_count() == 1:
        return ONE_DEVICE
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    return Sharded(devices=jax.device_count(), processes=jax.process_count(), number=jax.process_index())


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
