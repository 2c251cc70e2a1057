"""The version, and which commands need a project's folder, which an installed wheel does not have."""

import subprocess
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

import brats_cascade
from brats_cascade.errors import UserError

PARAMS = "params.yaml"
ANYWHERE = ("predict", "evaluate", "data check", "view", "export", "serve", "fuse", "doctor", "licences")


def version() -> str:
    """The output of `git describe` in a checkout with release tags (v0.1.0-3-g2de120a), otherwise the package's version."""
    root = Path(__file__).parents[3]
    if (root / ".git").exists() and (root / "pyproject.toml").is_file():
        words = ["git", "-C", str(root), "describe", "--tags", "--match", "v[0-9]*", "--dirty"]
        try:
            return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip().removeprefix("v")
        except (OSError, subprocess.CalledProcessError):
            pass  # no git, or no release tag
    return brats_cascade.__version__


def elsewhere() -> str:
    """A sentence with the commands that need no project."""
    return f"{', '.join(ANYWHERE)} work in any folder"


def show_version(wanted: bool) -> None:
    """Prints the version and exits, if the option was given."""
    if wanted:
        typer.echo(f"brats-cascade {version()}")
        raise typer.Exit


class ProjectCommand(TyperCommand):
    """A command that needs a project; in any other folder it fails with one line."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command if the folder has a params.yaml."""
        if not Path(PARAMS).is_file():
            raise UserError(
                f"no {PARAMS} here: `brats-cascade {self.name}` works only in a project's folder (a clone of the "
                f"repository), and {Path.cwd()} is not one ({elsewhere()})"
            )
        return super().invoke(ctx)
