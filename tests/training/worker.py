"""A short training on the devices named on the command line; test_devices.py compares what they end with.

Run as a script: python worker.py one|local|workers OUT.npz FOLDER (a process that does not write leaves no file; a training
that was ended goes on from FOLDER)
"""

import logging
import os
import signal
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))  # settings.py


def main(kind: str, out: str, folder: str) -> None:
    """Trains both phases on four windows a step with weights that differ between them, without batch statistics.

    With DIES_IN_ROUND set, the process is killed in that validation round.
    """
    logging.basicConfig(stream=sys.stdout, level=logging.INFO)
    if kind == "local" and os.environ.get("KERAS_BACKEND") != "jax":  # there XLA_FLAGS says it
        import tensorflow as tf

        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
    if kind == "workers":
        from brats_cascade.backend import start_backend

        start_backend()  # before anything imports Keras, as pipelines/train.py does
    from brats_cascade.training.devices import open_devices

    devices = open_devices(kind)
    import keras
    from settings import train_settings

    from brats_cascade.models.build import build_model
    from brats_cascade.models.two_path import Style
    from brats_cascade.training.batches import Batch
    from brats_cascade.training.loop import Phase, Training
    from brats_cascade.training.phases import train_phases

    class Drawn:
        def batch(self, step: int) -> Batch:
            rng = np.random.default_rng([7, step])
            image = rng.normal(0, 1, (4, 35, 35, 4)).astype(np.float32)
            weights = rng.uniform(0, 1, (4, 3, 3)) * [[[0.1]], [[5]], [[1]], [[0]]]
            return Batch([image], rng.integers(0, 5, (4, 3, 3)).astype(np.uint8), weights.astype(np.float32))

        def label_masses(self) -> np.ndarray:
            return np.array([0.6, 0.1, 0.1, 0.1, 0.1])

    keras.utils.set_random_seed(1)
    with devices.scope():
        network = build_model("two_path", style=Style(width=0.05, normalisation="none", l2=0.01))
    image = np.random.default_rng(0).normal(0, 1, (1, 35, 35, 4)).astype(np.float32)

    rounds = iter(range(1, 4))

    def validate() -> dict[str, float]:
        if str(next(rounds)) == os.environ.get("DIES_IN_ROUND"):
            os.kill(os.getpid(), signal.SIGKILL)
        found = keras.ops.convert_to_numpy(network.predict_on_batch(image))[0]
        return {"complete": float(found.std()), "core": float(found[0, 0, 1]), "enhancing": 0.5}

    settings = train_settings(
        optimizer="sgd", learning_rate=0.003, final_rate=0.5, schedule="cosine", momentum=0.9, momentum_start=0.5,
        clip_norm=0.5, output_rate=1.0, checkpoint_steps=0, patience=0,
    )  # fmt: skip
    training = Training(network, settings, validate, Path(folder) / "checkpoint.npz", "x", devices=devices)
    progress = train_phases(training, [Phase(1, Drawn(), 5, 2), Phase(2, Drawn(), 3, 1)])
    if devices.writes:
        rows = [[row["loss"], row["validation_complete"], row["validation_core"]] for row in progress.history]
        np.savez(out, rows=np.array(rows), **{f"w{n}": value for n, value in enumerate(network.get_weights())})


if __name__ == "__main__":
    main(*sys.argv[1:])
