"""brats-cascade preset: a file of presets/ as words for `dvc exp run`."""

from pathlib import Path
from typing import Any

from brats_cascade.errors import UserError


def run(name: str, *, folder: Path) -> str:
    """Turns a preset into `-S key=value` words; a key without a value is taken out: `-S ~key`.

    An experiment's own settings are written `-S ++key=value`, which DVC takes for keys that params.yaml lacks, too. A preset
    that `extends` another has its keys and changes or adds some.

    Args:
        name: Of the file, without its ending.
        folder: Of the presets.

    Returns:
        One line.

    Raises:
        UserError: There is no such preset.
    """
    pairs = _flat(load_preset(name, folder=folder))
    return " ".join(f"-S {_word(key, value=value)}" for key, value in pairs)


def load_preset(name: str, *, folder: Path) -> dict[str, Any]:
    """Reads a preset, that which it extends included.

    Args:
        name: Of the file, without its ending.
        folder: Of the presets.

    Returns:
        The tree of keys; None takes a key out.

    Raises:
        UserError: There is no such preset.
    """
    from ruamel.yaml import YAML

    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        raise UserError(f"{path}: no such preset; known: {', '.join(known) or 'none (run this in the project root)'}")
    tree = dict(YAML(typ="safe").load(path))
    base = tree.pop("extends", None)
    return tree if base is None else _merged(load_preset(base, folder=folder), tree)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Every key of both; where both have a mapping, likewise within it."""
    found = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = _merged(found[key], value) if both else value
    return found


def _word(key: str, *, value: str | None) -> str:
    if value is None:
        return f"~{key}"
    return f"{'++' if key.startswith('experiments.') else ''}{key}={value}"


def _flat(tree: dict[str, Any], *, before: str = "") -> list[tuple[str, str | None]]:
    pairs: list[tuple[str, str | None]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            pairs += _flat(value, before=f"{before}{key}.")
        elif value is None:
            pairs.append((f"{before}{key}", None))
        else:
            pairs.append((f"{before}{key}", str(value).lower() if isinstance(value, bool) else str(value)))
    return pairs
