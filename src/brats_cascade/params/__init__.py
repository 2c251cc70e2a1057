"""Reads, checks and writes params.yaml: its blocks, and the search space of a sweep."""

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
