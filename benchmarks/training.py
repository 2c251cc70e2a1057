"""A training step: the share of the machine's rate, and labelled pixels per second in tiles against patches."""

import numpy as np

from benchmarks.common import best, matrix_rate, report, two_path_operations
from brats_cascade.backend import start_backend


def main() -> None:
    """Full-width TwoPathCNN with batch normalisation and Adam, one step."""
    start_backend()
    import keras

    from brats_cascade.models.two_path import Style, build_two_path

    rng = np.random.default_rng(0)
    table = []
    for precision in ("float32", "bfloat16"):
        rate = matrix_rate(precision)
        pixels_per_second = {}
        for kind, batch, side in (("patches", 128, 1), ("tiles", 4, 48), ("tiles", 4, 64), ("tiles", 4, 96)):
            network = build_two_path(style=Style(precision=precision))
            trainer = keras.Model(network.inputs, network.get_layer("output").output)
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            trainer.compile(optimizer=keras.optimizers.Adam(1e-4), loss=loss, jit_compile=False)
            image = rng.normal(size=(batch, side + 32, side + 32, 4)).astype(np.float32)
            target = rng.integers(0, 5, (batch, side, side, 1))
            seconds = best(lambda t=trainer, i=image, y=target: t.train_on_batch(i, y))
            pixels = batch * side * side
            pixels_per_second[kind] = pixels / seconds
            # Forward, kernel gradients, and gradients to every input but the image: three passes less one of the first layers.
            forward = batch * two_path_operations(rows=side, columns=side)
            first = 2.0 * batch * ((side + 26) ** 2 * 49 * 4 * 128 + (side + 20) ** 2 * 169 * 4 * 320)
            table.append(
                {
                    "precision": precision,
                    "sampler": kind,
                    "batch": batch,
                    "labelled pixels a side": side,
                    "step, ms": round(1e3 * seconds),
                    "labelled pixels per second": round(pixels / seconds),
                    "over patches": round(pixels / seconds / pixels_per_second["patches"], 1),
                    "share of R": round((3 * forward - first) / seconds / rate, 2),
                }
            )
    report("training", rows=table)


if __name__ == "__main__":
    main()
