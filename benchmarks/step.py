"""How the time of a training step is divided, and the share in which training waits for its input."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import best, report, two_path_trainer
from brats_cascade.backend import start_backend

STEPS = 12
# Width, sampler, windows a step, side of the windows that get outputs.
KINDS = ((0.25, "tiles", 4, 48), (1.0, "tiles", 4, 48), (0.25, "patches", 128, 1))


def main() -> None:
    """Steps of TwoPathCNN as the training loop makes them: batches in a thread, on two random cases of a brain's size."""
    start_backend()
    rows = []
    for width, sampler, batch, tile in KINDS:
        rows.append({"width": width, "sampler": sampler, "batch": batch, "side": tile, **_shares(width, batch, tile)})
    report("step", rows=rows)


def _shares(width: float, batch: int, tile: int) -> dict[str, Any]:
    from brats_cascade.models.two_path import Style
    from brats_cascade.training.batches import prefetch
    from brats_cascade.training.devices import ONE_DEVICE

    sampler = _sampler(batch=batch, tile=tile)
    trainer = two_path_trainer(Style(width=width))
    step = ONE_DEVICE.stepper(trainer)
    first = sampler.batch(0)
    step(first)
    waiting, computing, asked = [], [], time.perf_counter()
    for _, given in prefetch(sampler, first=0, last=STEPS):
        got = time.perf_counter()
        step(given)
        waiting.append(got - asked)
        asked = time.perf_counter()
        computing.append(asked - got)
    # The first batch is waited for at the start of a phase only.
    whole = sum(waiting[1:]) + sum(computing[1:])
    forward = best(lambda: trainer.predict_on_batch(first.inputs[0]))
    mean = float(np.mean(computing[1:]))
    return {
        "making a batch, ms (in a thread)": round(1e3 * best(lambda: sampler.batch(1)), 1),
        "forward, ms": round(1e3 * forward, 1),
        "gradients and Adam, ms": round(1e3 * (mean - forward), 1),
        "step, ms": round(1e3 * mean, 1),
        "share of the time spent waiting for input": round(sum(waiting[1:]) / whole, 4),
    }


def _sampler(*, batch: int, tile: int) -> Any:
    """A tile of one pixel is a patch."""
    from brats_cascade.models.cascade import CNN2
    from brats_cascade.params import load_params
    from brats_cascade.training.batches import TrainingCase
    from brats_cascade.training.tiles import TileSampler

    rng, shape = np.random.default_rng(0), (24, 175, 146)
    cases = [
        TrainingCase(
            name,
            image=rng.normal(size=(*shape, 4)).astype(np.float32),
            brain=np.ones(shape, dtype=bool),
            labels=rng.integers(0, 5, shape).astype(np.uint8),
        )
        for name in ("a", "b")
    ]
    places = {"slice": shape[0], "row": shape[1], "column": shape[2]}
    centres = pd.DataFrame({name: rng.integers(0, end, 40000) for name, end in places.items()})
    centres["case"] = rng.choice(["a", "b"], 40000)
    shipped = load_params(Path(__file__).parents[1] / "params.yaml").train
    settings = shipped.model_copy(update={"tile": tile, "batch": batch})
    return TileSampler(
        cases, centres=centres, classes=(0, 1, 2, 3, 4), geometry=CNN2, weights=None, settings=settings, seed=1
    )


if __name__ == "__main__":
    main()
