"""Draws the patch sets: data/patches/{phase1,phase2}.parquet and summary.json; shards/ if patches.export is set."""

import brats_cascade.interrupted  # noqa: F401 - first
from brats_cascade.stages.patches import patches
from brats_cascade.stages.script import run

if __name__ == "__main__":
    run(patches)
