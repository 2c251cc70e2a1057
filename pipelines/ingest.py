"""Finds the cases of data.source and fills the volume store: data/volumes, data/cases.parquet."""

from brats_cascade.stages.ingest import ingest
from brats_cascade.stages.script import run

if __name__ == "__main__":
    run(ingest)
