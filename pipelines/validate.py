"""Checks the per-case table: data/{verdict,fingerprint}.json, metrics/data.json, reports/data/."""

import brats_cascade.interrupted  # noqa: F401 - first
from brats_cascade.stages.script import run
from brats_cascade.stages.validate import validate

if __name__ == "__main__":
    run(validate)
