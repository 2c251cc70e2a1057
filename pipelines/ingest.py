"""Finds the cases of data.source and fills the volume store: data/volumes, data/cases.parquet."""

import brats_cascade.interrupted  # noqa: F401 - first
from brats_cascade.stages.ingest import ingest
from brats_cascade.stages.script import run

if __name__ == "__main__":
    run(ingest)
