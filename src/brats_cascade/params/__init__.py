"""params.yaml: its blocks, the sweep's space, reading and writing."""

from brats_cascade.params.blocks import (
    EvaluateParams,
    ExperimentParams,
    Params,
    Recipe,
    SplitParams,
    SweepParams,
)
from brats_cascade.params.load import load_params, swept_experiment
from brats_cascade.params.train import TrainParams

__all__ = [
    "EvaluateParams",
    "ExperimentParams",
    "Params",
    "Recipe",
    "SplitParams",
    "SweepParams",
    "TrainParams",
    "load_params",
    "swept_experiment",
]
