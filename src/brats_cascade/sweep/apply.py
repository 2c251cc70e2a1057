"""Writing a trial into params.yaml as an experiment of its own; every other line of the file stays as it is."""

import io
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brats_cascade.config import load_params
from brats_cascade.errors import UserError
from brats_cascade.sweep.plan import Plan
from brats_cascade.sweep.space import overrides_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def apply_trial(path: Path, *, trial: "FrozenTrial", plan: Plan, study: str) -> str:
    """Writes a trial into params.yaml; `dvc repro` then trains, evaluates and compares it.

    Args:
        path: params.yaml.
        trial: Its settings become the overrides.
        plan: The experiment whose architecture it has, and what was fixed.
        study: Name of the study; the experiment is called `<study>_best` and replaces an earlier one of that name.

    Returns:
        The experiment's name.

    Raises:
        UserError: The result would not be read back; the file stays as it was.
    """
    from ruamel.yaml import YAML

    name = f"{study}_best"
    before = path.read_text(encoding="utf-8")
    tree = YAML().load(before)
    found = {key: _short(value) for key, value in overrides_of(trial.params).items()}
    entry = {**tree["experiments"][plan.sweep.experiment], **plan.sweep.fixed, **found}
    dice = f"{trial.values[0]:.4f}" if trial.values else "unknown"
    note = f"study {study}, trial {trial.number}: complete Dice {dice} on the validation patients"
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(_spliced(before, tree=tree, name=name, entry=entry, note=note), encoding="utf-8")
    try:
        load_params(draft)
        draft.replace(path)
    except UserError as error:
        raise UserError(f"{path}: left as it was; trial {trial.number} does not fit in: {error}") from None
    finally:
        draft.unlink(missing_ok=True)
    return name


def _spliced(text: str, *, tree: Any, name: str, entry: Mapping[str, Any], note: str) -> str:
    """The file with the entry at the end of `experiments`, and without an earlier one of its name."""
    lines = text.splitlines(keepends=True)
    experiments = tree["experiments"]
    indent = " " * experiments.lc.key(next(iter(experiments)))[1]
    if name in experiments:
        start = end = experiments.lc.key(name)[0]
        while end == start or (end < len(lines) and lines[end].startswith(f"{indent} ")):
            end += 1
        del lines[start:end]
    place = tree.lc.key("experiments")[0] + 1
    for number in range(place, len(lines)):
        if lines[number].startswith(" ") and lines[number].strip():
            place = number + 1
        elif lines[number].strip() and not lines[number].startswith("#"):
            break  # the next block
    if not lines[place - 1].endswith("\n"):
        lines[place - 1] += "\n"
    block = textwrap.indent(f"{name}:\n" + textwrap.indent(f"# {note}\n{_yaml(entry)}", "  "), indent)
    return "".join([*lines[:place], block, *lines[place:]])


def _yaml(entry: Mapping[str, Any]) -> str:
    """Plain YAML, one key a line."""
    from ruamel.yaml import YAML

    yaml, text = YAML(), io.StringIO()
    yaml.width = 4096
    yaml.dump(dict(entry), text)
    return text.getvalue()


def _short(value: Any) -> Any:
    """A number without the digits that decide nothing."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
