"""A sweep by hand, as `brats-cascade sweep` runs it: python pipelines/sweep.py --trials N; not a stage of `dvc repro`."""

import sys

import brats_cascade.interrupted  # noqa: F401 - first
from brats_cascade.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "sweep")
    main()
