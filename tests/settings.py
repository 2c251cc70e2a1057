"""Settings of a short training, for tests."""

from pathlib import Path
from typing import Any

from brats_cascade.params import TrainParams, load_params

SHIPPED = load_params(Path(__file__).parents[1] / "params.yaml").train
SHORT: dict[str, Any] = {
    "width": 0.05, "tile": 10, "batch": 2, "steps": 3, "phase2_steps": 2, "checks": 1, "dropout": 0.0, "l2": 0.0,
    "learning_rate": 0.003, "final_rate": 0.1, "warmup": 0.0, "phase2_rate": 1.0,
}  # fmt: skip


def train_settings(**changes: Any) -> TrainParams:
    """The shipped settings, short and small, with some replaced."""
    return TrainParams.model_validate({**SHIPPED.model_dump(), **SHORT, **changes})
