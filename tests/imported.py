"""The modules of this project that a module imports, read from the imports themselves."""

import ast
from pathlib import Path

import brats_cascade

PACKAGE = Path(brats_cascade.__path__[0])


def modules_imported_by(start: str) -> set[str]:
    """A module and all that it imports, directly or through others, also inside functions: paths below brats_cascade."""
    found, waiting = set[Path](), [PACKAGE / start]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("brats_cascade"):
                base = PACKAGE.parent / str(node.module).replace(".", "/")
                names = [base, *(base / alias.name for alias in node.names)]
                waiting += [name.with_suffix(".py") for name in names if name.with_suffix(".py").is_file()]
    return {path.relative_to(PACKAGE).as_posix() for path in found}
