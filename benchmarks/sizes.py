"""Growth of the cost with tile size, batch size, width and slices per batch, changing one at a time."""

from collections.abc import Iterator

import numpy as np

from benchmarks.common import best, random_tiles, report, two_path_trainer
from brats_cascade.backend import start_backend

USUAL = {"width": 0.25, "tile": 48, "batch": 4}  # params.yaml
TRAINING = {"tile": (24, 48, 96), "batch": (1, 2, 4, 8), "width": (0.125, 0.25, 0.5, 1.0)}
PREDICTION = {"slices": (1, 2, 4, 8), "width": (0.125, 0.25, 0.5, 1.0)}


def main() -> None:
    """TwoPathCNN in float32; each table starts anew from the usual sizes."""
    start_backend()
    rows = [*_rows("training step", TRAINING), *_rows("prediction", PREDICTION)]
    report("sizes", rows=rows)


def _rows(work: str, sizes: dict[str, tuple[float, ...]]) -> Iterator[dict[str, object]]:
    for name, values in sizes.items():
        first = 0.0
        for value in values:
            seconds, pixels = _step(name, value) if work == "training step" else _slices(name, value)
            first = first or seconds / pixels
            yield {
                "work": work,
                "what changes": name,
                "to": value,
                "ms": round(1e3 * seconds, 1),
                "pixels per second": round(pixels / seconds),
                "time a pixel over the first": round(seconds / pixels / first, 2),
            }


def _step(name: str, value: float) -> tuple[float, int]:
    """Seconds and labelled pixels of a training step."""
    from brats_cascade.models.two_path import Style

    sizes = {**USUAL, name: value}
    side, batch = int(sizes["tile"]), int(sizes["batch"])
    image, target = random_tiles(batch=batch, side=side)
    trainer = two_path_trainer(Style(width=sizes["width"]))
    return best(lambda: trainer.train_on_batch(image, target)), batch * side * side


def _slices(name: str, value: float) -> tuple[float, int]:
    """Seconds and pixels of a batch of slices."""
    from brats_cascade.models.two_path import Style, build_two_path

    sizes = {"slices": 4, "width": USUAL["width"], name: value}
    slices, rows, columns = int(sizes["slices"]), 176, 144
    network = build_two_path(style=Style(width=sizes["width"]))
    window = np.random.default_rng(0).normal(size=(slices, rows + 32, columns + 32, 4)).astype(np.float32)
    return best(lambda: network.predict_on_batch(window)), slices * rows * columns


if __name__ == "__main__":
    main()
