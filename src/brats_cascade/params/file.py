"""Reads params.yaml, and writes it back in its own form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brats_cascade.errors import UserError
from brats_cascade.shared import written_whole

MOST = 10**6  # limits: characters of the file, and values after its aliases are expanded


def read_tree(path: Path, *, editable: bool = False) -> dict[str, Any]:
    """Reads the blocks of params.yaml without checking their keys.

    If `editable`, the tree may be changed and passed to `write_params`, which leaves all other lines unchanged,
    including comments.

    Raises:
        UserError: The file is missing, not YAML, or not a mapping.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        text = _read(path)
        if "*" in text and _size(YAML(typ="safe", pure=True).compose(text), sizes={}) > MOST:
            raise UserError(f"{path}: its aliases (*NAME) stand for more than {MOST} values; write out what is needed")
        tree = YAML(typ="rt" if editable else "safe").load(text)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run this from the project's root") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except RecursionError:
        raise UserError(f"{path}: not valid parameters: nested too deeply") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {_one_line(error)}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected a mapping of stages, found {'nothing' if tree is None else repr(tree)[:60]}")
    return tree


def _read(path: Path) -> str:
    with path.open(encoding="utf-8-sig", newline="") as file:
        text = file.read(MOST + 1)
    if len(text) > MOST:
        raise UserError(f"{path}: has more than {MOST} characters; expected the parameters alone")
    return text


def _size(node: Any, *, sizes: dict[int, int]) -> int:
    """The number of values that a YAML node stands for after its aliases are expanded; `sizes` caches known nodes."""
    if id(node) not in sizes:
        sizes[id(node)] = MOST + 1  # a node that contains itself is infinite
        entries = node.value if isinstance(node.value, list) else ()  # otherwise a scalar
        parts = (part for entry in entries for part in (entry if isinstance(entry, tuple) else (entry,)))
        sizes[id(node)] = 1 + sum(_size(part, sizes=sizes) for part in parts)
    return sizes[id(node)]


def write_params(path: Path, tree: Mapping[str, Any]) -> None:
    """Writes params.yaml atomically, one key per line."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096  # do not wrap long values
    with written_whole(path) as draft:
        yaml.dump(tree, draft)


def _one_line(error: Exception) -> str:
    """A YAML error and its line in the file, on one line; ruamel's own message has several."""
    mark = getattr(error, "problem_mark", None)
    text = getattr(error, "problem", None) or str(error)
    return " ".join(text.split()) + (f" (line {mark.line + 1})" if mark is not None else "")
