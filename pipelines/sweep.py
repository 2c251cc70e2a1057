"""Runs a sweep like `brats-cascade sweep`: python pipelines/sweep.py --trials N. Not a stage of `dvc repro`."""

import sys

import brats_cascade.interrupted  # noqa: F401 - first
from brats_cascade.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "sweep")
    main()
