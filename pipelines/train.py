"""Trains one entry of params.yaml `experiments`: models/E with the network, its history and its record."""

import brats_cascade.interrupted  # noqa: F401 - first
from brats_cascade.stages.script import run
from brats_cascade.stages.train import train

if __name__ == "__main__":
    run(train, of_experiment=True)
