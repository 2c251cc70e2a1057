"""A sweep by hand, as `brats-cascade sweep` runs it: python pipelines/sweep.py TRIALS; not a stage of `dvc repro`."""

import sys

from brats_cascade.errors import UserError
from brats_cascade.params import Params
from brats_cascade.project import Project
from brats_cascade.stages.script import run


def sweep(project: Project, params: Params, trials: str) -> None:
    """Runs the block `sweep` of params.yaml with a worker for each GPU or core, and goes on with an earlier sweep."""
    from brats_cascade.commands.sweep import run as sweep_trials

    if not trials.isdigit():
        raise UserError(f"pipelines/sweep.py: expected a number of trials, received {trials!r}")
    sweep_trials(project.root.resolve(), trials=int(trials), tell=lambda line: print(line, file=sys.stderr))


if __name__ == "__main__":
    run(sweep, arguments=("trials",))
