"""A sweep by hand, as `brats-cascade sweep` runs it: python pipelines/sweep.py TRIALS; not a stage of `dvc repro`."""

import sys
from pathlib import Path

from _stage import run

from brats_cascade.config import Params
from brats_cascade.errors import UserError


def main(params: Params, trials: str) -> None:
    """Runs the block `sweep` of params.yaml with a worker for each GPU or core, and goes on with an earlier sweep."""
    from brats_cascade.commands.sweep import run as sweep

    if not trials.isdigit():
        raise UserError(f"pipelines/sweep.py: expected a number of trials, received {trials!r}")
    sweep(Path.cwd(), trials=int(trials), tell=lambda line: print(line, file=sys.stderr))


if __name__ == "__main__":
    run(main, arguments=("trials",))
