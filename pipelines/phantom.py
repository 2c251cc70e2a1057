"""Generates the built-in default cohort: data/raw/phantom."""

import brats_cascade.interrupted  # noqa: F401 - first
from brats_cascade.stages.phantom import phantom
from brats_cascade.stages.script import run

if __name__ == "__main__":
    run(phantom)
