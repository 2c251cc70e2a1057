"""A process that trains with the project's code and records every step: python -m benchmarks.gpu_train OUT.jsonl < JOBS.

JOBS is JSON: {"root": a project's folder, "jobs": [{"architecture": ..., "train": overrides}]}. With "timed" a job is
timed; with "whole" a GPU computes products in float32 instead of TF32. JAX_PLATFORMS chooses the device.
"""

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.backend import start_backend
from brats_cascade.params import ExperimentParams, load_params
from brats_cascade.params.train import apply_overrides
from brats_cascade.project import Project
from brats_cascade.stages.train_entry import open_data, train_entry
from brats_cascade.training.batches import Batch
from brats_cascade.training.devices import Devices


class Noted(Devices):
    """One device, whose steps are noted: the losses, when each ended, and what the last one was given."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []
        self.ended: list[float] = []
        self.trainer: Any = None
        self.last: tuple[Any, Any, Any] | None = None

    def stepper(self, trainer: Any) -> Callable[[Batch], float]:
        """A step of one device."""
        own, self.trainer = super().stepper(trainer), trainer

        def step(batch: Batch) -> float:
            loss = own(batch)
            self.losses.append(loss)
            self.ended.append(time.perf_counter())
            inputs = batch.inputs if len(batch.inputs) > 1 else batch.inputs[0]
            self.last = inputs, batch.targets[..., None], batch.weights
            return loss

        return step


def trained(root: Path, job: Mapping[str, Any], *, data: Any) -> dict[str, Any]:
    """A training's losses; if `timed`, also its seconds, those of a step by the clock, and those of the device for a step."""
    import jax

    from benchmarks.on_device import step_seconds

    settings = apply_overrides(load_params(root / "params.yaml").train, job["train"], where="benchmarks.gpu")
    entry = ExperimentParams(architecture=job["architecture"], builds_on="data/patches", train=settings)
    noted, started = Noted(), time.perf_counter()
    whole = jax.default_matmul_precision("float32") if job.get("whole") else contextlib.nullcontext()
    with tempfile.TemporaryDirectory() as folder, whole:
        train_entry(Project(root), entry, data=data, folder=Path(folder), devices=noted)
    found: dict[str, Any] = {"architecture": job["architecture"], "whole": "whole" in job, "losses": noted.losses}
    if job.get("timed"):
        found["seconds"] = time.perf_counter() - started
        found["step"] = float(np.median(np.diff(noted.ended)))
        found["device"] = step_seconds(noted.trainer, noted.last or ())
    return found


def main() -> None:
    """Trains one job after the other and writes what was noted, a line each."""
    import keras

    given = json.load(sys.stdin)
    root = Path(given["root"])
    start_backend()
    data = open_data(Project(root))
    with Path(sys.argv[1]).open("w", encoding="utf-8") as file:
        for job in given["jobs"]:
            print(json.dumps(trained(root, job, data=data)), file=file, flush=True)
            keras.utils.clear_session()


if __name__ == "__main__":
    main()
