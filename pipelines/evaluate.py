"""Segments and scores the test patients with one trained experiment: metrics/E.json, metrics/E and its figures."""

import brats_cascade.interrupted  # noqa: F401 - first
from brats_cascade.stages.evaluate import evaluate
from brats_cascade.stages.script import run

if __name__ == "__main__":
    run(evaluate, of_experiment=True)
