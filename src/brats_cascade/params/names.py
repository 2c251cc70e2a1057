"""Names of experiments and studies, which are used for DVC stages, folders on any system and keys of Hydra overrides."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brats_cascade.errors import UserError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
# Words that YAML 1.1, which Hydra uses, does not read as text.
YAML_WORDS = ("yes", "no", "on", "off", "true", "false", "null")
TAKEN = ("data", "costs")  # metrics/data.json and metrics/costs have other uses


def check_experiment_names(experiments: Any, *, path: Path) -> None:
    """Checks that `experiments` is a mapping with at least one entry, and its names with `problem_of_name`."""
    if not isinstance(experiments, Mapping) or not experiments:
        found = "nothing" if not experiments else repr(experiments)[:60]
        raise UserError(f"{path}: experiments: expected a mapping of names to settings, found {found}")
    folded: dict[str, str] = {}
    for name, entry in experiments.items():
        if problem := problem_of_name(name):
            raise UserError(f"{path}: experiments: {problem}")
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            raise UserError(
                f"{path}: experiments: {other} and {name} differ only in capitals and would share a folder on macOS and "
                "Windows; rename one"
            )
        if not isinstance(entry, Mapping):
            found = "nothing" if entry is None else repr(entry)[:60]
            raise UserError(
                f"{path}: experiments.{name}: expected a mapping with architecture and builds_on, found {found}"
            )
        if "train" in entry:
            raise UserError(f"{path}: experiments.{name}.train: write its keys directly under experiments.{name}")


def problem_of_name(name: Any) -> str:
    """The problem with the name of an experiment or a study, on one line, or ""."""
    if isinstance(name, str) and NAME.fullmatch(name) and name.lower() not in (*YAML_WORDS, *TAKEN):
        return ""
    if not isinstance(name, str):
        return f"YAML reads the name {name} as {type(name).__name__}, not as text: begin it with a letter (run_{name})"
    if name.lower() in YAML_WORDS:
        return f"the name {name!r} means something else to YAML; take another one"
    if name.lower() in TAKEN:
        return f"the name {name!r} is taken: metrics/{name.lower()} is not an experiment's; take another one"
    return (
        f"the name {name!r} cannot be used: expected a letter, then letters, digits, _ and - (at most 100 in all), because "
        "it names a DVC stage and folders"
    )
