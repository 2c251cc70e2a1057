"""What pyproject.toml asks for is what the code imports, no more and no less."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Of pyarrow pandas reads Parquet, and of nilearn only its template images are read.
NOT_IMPORTED = {"pyarrow", "nilearn"}


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=;!~]", requirement)[0]).lower()


def _imported(folder: str) -> set[str]:
    """The top-level packages that the code of a folder imports, anywhere in a module."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(str(node.module).partition(".")[0])
    return found


@pytest.mark.slow
def test_requirements_are_what_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    always = {_name(word) for word in project["dependencies"]}
    extras = {_name(word) for words in project["optional-dependencies"].values() for word in words}
    owners = {
        top: {_name(owner) for owner in found} for top, found in importlib.metadata.packages_distributions().items()
    }
    ours = {path.stem for path in (ROOT / "pipelines").glob("*.py")} | {"brats_cascade"}
    imported = (_imported("src") | _imported("pipelines")) - set(sys.stdlib_module_names) - ours
    used = {name for top in imported for name in owners.get(top, {_name(top)})}
    assert always - used == NOT_IMPORTED
    unmet = {top for top in imported if not owners.get(top, {_name(top)}) & (always | extras)}
    assert unmet == set()
    assert "scikit-learn" in extras - always  # of the tests alone
