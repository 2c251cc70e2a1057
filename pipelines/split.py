"""Splits the accepted cases by patient: data/splits.json."""

import brats_cascade.interrupted  # noqa: F401 - first
from brats_cascade.stages.script import run
from brats_cascade.stages.split import split

if __name__ == "__main__":
    run(split)
