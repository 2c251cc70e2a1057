"""Runs a stage script: logging, params.yaml, one-line errors."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from brats_cascade.backend import keep_quiet
from brats_cascade.errors import UserError, ending_in_one_line, start_log
from brats_cascade.leaving import leaving
from brats_cascade.orphans import end_with_dvc
from brats_cascade.params import ExperimentParams, Params, load_params
from brats_cascade.project import Project
from brats_cascade.stages.cost import noted


def run(stage: Callable[..., None], *, of_experiment: bool = False) -> None:
    """Runs a stage from the command line and exits.

    A UserError or a lack of resources becomes `error: ...` on stderr and exit status 1, so that DVC records no result; any
    other exception keeps its traceback. The stage is called with the project of the current folder and the checked Params
    and, if `of_experiment`, with the name given on the command line.
    """
    end_with_dvc()
    keep_quiet()
    start_log(level=os.environ.get("BRATS_CASCADE_LOG", "INFO"), form="%(levelname)s %(name)s: %(message)s")
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    if of_experiment:
        parser.add_argument("experiment")
    project = Project()
    with leaving(), ending_in_one_line():
        if not {"-h", "--help"} & set(sys.argv):
            params: Params = load_params(Path("params.yaml"))  # first, so that a name with spaces gets the right error
        words = list(vars(parser.parse_args()).values())
        with noted(project.costs, stage=Path(sys.argv[0]).stem, arguments=words):
            stage(project, params, *words)


def experiment_named(params: Params, name: str) -> ExperimentParams:
    """The entry of `experiments` with this name; a UserError lists the known names."""
    if name not in params.experiments:
        raise UserError(f"params.yaml: no experiment {name!r}; known: {', '.join(params.experiments)}")
    return params.experiments[name]


def stage_params(params: Params) -> dict[str, object]:
    """The parameters of the stages before a training, flat, as a run logs them; those of the phantom only if it is used."""
    blocks: dict[str, object] = params.model_dump(include={"data", "ingest", "split", "patches"})
    if Path(params.data.source) == Project().phantom:
        blocks["phantom"] = params.phantom.model_dump()
    return _flat(blocks)


def _flat(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
