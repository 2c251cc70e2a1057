"""What an installed wheel knows of itself: its version, and which commands need a project's folder to work in."""

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
    """What git calls a checkout after its last release tag (v0.1.0, v0.1.0-3-g2de120a); otherwise the package's version."""
    root = Path(__file__).parents[3]
    if (root / ".git").exists() and (root / "pyproject.toml").is_file():
        words = ["git", "-C", str(root), "describe", "--tags", "--match", "v[0-9]*", "--dirty"]
        try:
            return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip().removeprefix("v")
        except (OSError, subprocess.CalledProcessError):
            pass  # no git, or no such tag
    return brats_cascade.__version__


def elsewhere() -> str:
    """Which commands need no project."""
    return f"{', '.join(ANYWHERE)} work in any folder"


def show_version(wanted: bool) -> None:
    """Ends the command line with the version, where it was asked for."""
    if wanted:
        typer.echo(f"brats-cascade {version()}")
        raise typer.Exit


class ProjectCommand(TyperCommand):
    """A command of the project: anywhere else, one line says so."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command in a folder that has params.yaml."""
        if not Path(PARAMS).is_file():
            raise UserError(
                f"no {PARAMS} here: `brats-cascade {self.name}` works in a project's folder, a clone of the repository; "
                f"{Path.cwd()} is none ({elsewhere()})"
            )
        return super().invoke(ctx)
