"""Compares all experiments: reports/comparison.json, reports/index.html, and the champion in MLflow's registry."""

import brats_cascade.interrupted  # noqa: F401 - first
from brats_cascade.stages.compare import compare
from brats_cascade.stages.script import run

if __name__ == "__main__":
    run(compare)
