"""A training step: the share of peak throughput, labelled pixels per second with tiles and with patches, and XLA."""

from benchmarks.common import best, matrix_rate, random_tiles, report, two_path_trainer
from benchmarks.operations import two_path_operations
from brats_cascade.backend import start_backend

KINDS = (
    ("patches", 128, 1, False),
    ("patches", 128, 1, True),
    ("tiles", 4, 48, False),
    ("tiles", 4, 64, False),
    ("tiles", 4, 64, True),
    ("tiles", 4, 96, False),
)


def main() -> None:
    """Full-width TwoPathCNN with batch normalisation and Adam, one step."""
    start_backend()
    from brats_cascade.models.two_path import Style

    table = []
    for precision in ("float32", "bfloat16"):
        rate = matrix_rate(precision)
        patches = 0.0
        for kind, batch, side, xla in KINDS:
            trainer = two_path_trainer(Style(precision=precision), xla=xla)
            image, target = random_tiles(batch=batch, side=side)
            seconds = best(lambda t=trainer, i=image, y=target: t.train_on_batch(i, y))
            pixels = batch * side * side
            patches = patches or pixels / seconds
            # Forward, kernel gradients, and gradients to every input but the image: three passes less one of the first layers.
            forward = batch * two_path_operations(rows=side, columns=side)
            first = 2.0 * batch * ((side + 26) ** 2 * 49 * 4 * 128 + (side + 20) ** 2 * 169 * 4 * 320)
            table.append(
                {
                    "precision": precision,
                    "sampler": kind,
                    "batch": batch,
                    "labelled pixels a side": side,
                    "XLA": "yes" if xla else "no",
                    "step, ms": round(1e3 * seconds),
                    "labelled pixels per second": round(pixels / seconds),
                    "over patches": round(pixels / seconds / patches, 1),
                    "share of R": round((3 * forward - first) / seconds / rate, 2),
                }
            )
    report("training", rows=table)


if __name__ == "__main__":
    main()
