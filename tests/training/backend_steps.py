"""Losses, gradients and a short training under whatever backend Keras runs on; test_backends.py compares two.

Run as a script: python backend_steps.py OUT.npz [ARCHITECTURE ...]
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))  # settings.py


def steps(*only: str) -> dict[str, np.ndarray]:
    """Name -> loss, gradient of each weight, or history; the same weights and batches under every backend.

    Args:
        only: Architectures; by default all of the paper's and both CNNs of the coarse cascade.
    """
    import keras

    from brats_cascade.models.build import build_model
    from brats_cascade.models.cascade import GEOMETRY, PAPERS, score_model
    from brats_cascade.models.coarse import build_coarse_cnn2
    from brats_cascade.models.two_path import Style
    from brats_cascade.training.losses import build_loss

    found: dict[str, np.ndarray] = {}
    coarse = () if only else ("coarse_cnn1", "coarse_cnn2")
    for architecture, normalisation in [(name, "batch") for name in only or (*PAPERS, *coarse)] + [
        ("two_path", "none")
    ]:
        rng = np.random.default_rng(0)
        build = build_coarse_cnn2 if architecture == "coarse_cnn2" else partial(build_model, architecture)
        network = build(style=Style(width=0.06, normalisation=normalisation, l2=1e-4))
        for weight in network.weights:
            value = rng.normal(0, 0.05, weight.shape)
            weight.assign(1 + np.abs(value) if "variance" in weight.path or "gamma" in weight.path else value)
        # Small, so that no two values compete for a maximum within rounding: there the gradient would jump.
        geometry = GEOMETRY["coarse_cascade" if architecture == "coarse_cnn2" else architecture]
        output = 3 if geometry.step == (1, 1) else 4
        side = output + geometry.patch - 1
        sides = (side, side // 2)  # CNN 2 of the coarse cascade has a second input, of cells
        inputs = [
            rng.normal(0, 1, (1, side, side, given.shape[-1])).astype(np.float32)
            for side, given in zip(sides, network.inputs, strict=False)
        ]
        targets = rng.integers(0, 5, (1, output, output, 1))
        weights = rng.uniform(0, 3, (1, output, output)).astype(np.float32)
        trainer = score_model(network)
        kind = "cross_entropy_dice" if architecture == "coarse_cnn1" else "cross_entropy"
        loss = build_loss(kind, classes=5, reduction="mean_with_sample_weight")
        jit = keras.backend.backend() == "jax"
        trainer.compile(optimizer=keras.optimizers.SGD(1.0), loss=loss, jit_compile=jit)
        before = network.get_weights()
        name = f"{architecture}-{normalisation}"
        found[f"{name}/loss"] = np.array(
            trainer.train_on_batch(inputs if len(inputs) > 1 else inputs[0], targets, sample_weight=weights)
        )
        for number, (start, end) in enumerate(zip(before, network.get_weights(), strict=True)):
            found[f"{name}/{number}"] = start - end
    return {**found, **_training()}


def _training() -> dict[str, np.ndarray]:
    """A few steps of both phases with the ramped momentum, on one batch."""
    from settings import train_settings

    from brats_cascade.models.build import build_model
    from brats_cascade.models.two_path import Style
    from brats_cascade.training.batches import Batch
    from brats_cascade.training.loop import Phase, Training
    from brats_cascade.training.phases import train_phases

    rng = np.random.default_rng(1)
    image = rng.normal(0, 1, (2, 36, 36, 4)).astype(np.float32)
    batch = Batch([image], rng.integers(0, 5, (2, 4, 4)).astype(np.uint8), np.ones((2, 4, 4), np.float32))

    class Fixed:
        def batch(self, step: int) -> Batch:
            return batch

        def label_masses(self) -> np.ndarray:
            return np.full(5, 0.2)

    network = build_model("two_path", style=Style(width=0.06))
    network.set_weights([np.abs(rng.normal(0.05, 0.05, weight.shape)) for weight in network.get_weights()])
    settings = train_settings(
        optimizer="sgd", learning_rate=0.01, schedule="cosine", momentum=0.9, momentum_start=0.5, clip_norm=1.0,
        output_rate=1.0, checkpoint_steps=0, patience=0,
    )  # fmt: skip
    scores = dict.fromkeys(("complete", "core", "enhancing"), 0.5)
    with tempfile.TemporaryDirectory() as folder:
        training = Training(network, settings, lambda: scores, Path(folder) / "checkpoint.npz", "x")
        progress = train_phases(training, [Phase(1, Fixed(), 4, 2), Phase(2, Fixed(), 2, 1)])
    return {"training/losses": np.array([row["loss"] for row in progress.history])}


if __name__ == "__main__":
    from brats_cascade.backend import start_backend

    start_backend()
    np.savez(sys.argv[1], **steps(*sys.argv[2:]))
