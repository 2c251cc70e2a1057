"""A Python that has nothing but what a list of requirements brings: no checkout, no editable install of this project."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

START = "import sys; sys.path.append(sys.argv.pop(1)); exec(sys.argv.pop(1))"


def link_packages(folder: Path, *, requirements: Iterable[str]) -> Path:
    """Links the installed packages that pip would install for these requirements, and no other, into a folder.

    Args:
        folder: Where; made.
        requirements: As pip writes them; each must be installed here in that release.

    Returns:
        The folder, for `run_clean`.
    """
    folder.mkdir()
    waiting, seen = [Requirement(line) for line in requirements], set()
    while waiting:
        wanted = waiting.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if name in seen or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        found = distribution(wanted.name)
        assert wanted.specifier.contains(found.version, prereleases=True), f"{wanted} is not what is installed here"
        waiting += [Requirement(line) for line in found.requires or ()]
        for top in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
            place = folder / top
            if not place.is_symlink():
                place.symlink_to(Path(str(found.locate_file(top))))
    return folder


def run_clean(packages: Path, code: str, *arguments: str, cwd: Path) -> str:
    """Runs code in that Python and returns what it prints.

    Args:
        packages: From `link_packages`.
        code: Python source.
        arguments: Its sys.argv[1:].
        cwd: Where; not the project.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KERAS", "MLFLOW"))}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", START, str(packages), code, *arguments],
        cwd=cwd,
        env={**kept, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
