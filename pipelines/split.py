"""Splits the accepted cases by patient: data/splits.json."""

from brats_cascade.stages.script import run
from brats_cascade.stages.split import split

if __name__ == "__main__":
    run(split)
