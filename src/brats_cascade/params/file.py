"""params.yaml as text: read, and written back in the form that it has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brats_cascade.errors import UserError
from brats_cascade.shared import written_whole

MOST = 10**6  # characters of the file, and values in it with its aliases written out


def read_tree(path: Path, *, editable: bool = False) -> dict[str, Any]:
    """Reads the blocks of params.yaml without checking their keys.

    Where it is `editable`, changed and given to `write_params`, the tree leaves every other line as it is, comments included.

    Raises:
        UserError: It is missing, no YAML, or no mapping; on one line.
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
    """How many values a YAML node stands for with its aliases written out; `sizes` keeps those of nodes seen before."""
    if id(node) not in sizes:
        sizes[id(node)] = MOST + 1  # a node that contains itself has no end
        entries = node.value if isinstance(node.value, list) else ()  # else a scalar
        parts = (part for entry in entries for part in (entry if isinstance(entry, tuple) else (entry,)))
        sizes[id(node)] = 1 + sum(_size(part, sizes=sizes) for part in parts)
    return sizes[id(node)]


def write_params(path: Path, tree: Mapping[str, Any]) -> None:
    """Writes params.yaml whole or not at all, one key per line."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096  # a long value stays on its line
    with written_whole(path) as draft:
        yaml.dump(tree, draft)


def _one_line(error: Exception) -> str:
    """What a YAML error says, and in which line of the file; ruamel's own text has several lines."""
    mark = getattr(error, "problem_mark", None)
    text = getattr(error, "problem", None) or str(error)
    return " ".join(text.split()) + (f" (line {mark.line + 1})" if mark is not None else "")
