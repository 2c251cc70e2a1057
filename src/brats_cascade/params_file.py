"""params.yaml as text: read, written in the form that DVC's Hydra composition gives it, and names of experiments checked."""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from brats_cascade.errors import UserError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
# Words that YAML 1.1, which Hydra reads, takes for something else than text.
YAML_WORDS = ("yes", "no", "on", "off", "true", "false", "null")
TAKEN = ("data", "costs")  # metrics/data.json is the validate stage's, metrics/costs the folder of all trainings' costs


def read_tree(path: Path) -> dict[str, Any]:
    """Reads params.yaml without checking its keys.

    Args:
        path: The file.

    Returns:
        Its blocks.

    Raises:
        UserError: It is missing, no YAML, or no mapping; on one line.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        tree = YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run this from the project's root") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {_one_line(error)}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected a mapping of stages, found {'nothing' if tree is None else repr(tree)[:60]}")
    return tree


def write_params(path: Path, tree: Mapping[str, Any]) -> None:
    """Writes params.yaml whole or not at all, one key per line, as `dvc exp run -S` writes it.

    Args:
        path: The file.
        tree: Its blocks, in plain values.
    """
    from omegaconf import OmegaConf

    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(OmegaConf.to_yaml(OmegaConf.create(dict(tree))), encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def check_experiment_names(experiments: Any, *, path: Path) -> None:
    """Refuses names that cannot be a DVC stage, a folder on every system and a key of Hydra's overrides alike.

    Args:
        experiments: The block `experiments`, as it was read.
        path: The file, for messages.

    Raises:
        UserError: The block is no mapping or is empty, or a name is refused; names it and says what is allowed.
    """
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
    """What is wrong with the name of an experiment or a study, on one line, or ""."""
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


def explain(error: ValidationError, *, known: Callable[[list[str]], list[str]]) -> str:
    """The first thing wrong with params.yaml, on one line: where, what was expected, what was found.

    Args:
        error: From pydantic.
        known: The keys that the block at a place, given as its keys from the top, knows.
    """
    first = error.errors()[0]
    keys = [str(part) for part in first["loc"]]
    where = ".".join(keys)
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], known(keys[:-1]), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known(keys[:-1]))}"
        return f"unknown key {where!r}; {hint}"
    if first["type"] == "missing":
        return f"key {where!r} is missing; see docs/params.md"
    found = "nothing" if first["input"] is None else repr(first["input"])[:100]
    return f"{where}: {first['msg']}, found {found}"


def _one_line(error: Exception) -> str:
    """What a YAML error says, and in which line of the file; ruamel's own text has several lines."""
    mark = getattr(error, "problem_mark", None)
    text = getattr(error, "problem", None) or str(error)
    return " ".join(text.split()) + (f" (line {mark.line + 1})" if mark is not None else "")
