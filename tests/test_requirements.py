"""What is installed: what the code imports, as it was when it was pinned; and nothing of it asks a host."""

import ast
import configparser
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from dvc_render.html import render_html
from dvc_render.vega import VegaRenderer

from brats_cascade.commands.licences import licence_of

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


def test_every_requirement_is_pinned_with_hashes_and_no_address() -> None:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) > 200
    for entry in entries:
        first, *hashes = (line.strip().removesuffix("\\").strip() for line in entry.split("\n"))
        assert re.fullmatch(r"[a-z0-9.-]+==[^ ]+( ; .+)?", first), first
        assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), first
    # What builds the packages that have no wheel, and the project itself, is pinned likewise.
    assert {"setuptools", "wheel", "hatchling", "editables"} <= {entry.partition("==")[0] for entry in entries}
    assert "://" not in text
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = [line for line in makefile.splitlines() if "$(PIP)" in line]
    assert all("--require-hashes" in line or "--no-index" in line for line in installs) and len(installs) == 4
    assert sum("--no-build-isolation" in line for line in installs) == 2


@pytest.mark.slow
def test_no_program_of_the_environment_sends_telemetry() -> None:
    """Also without `make`, such as a bare `mlflow ui`: MLflow and Great Expectations read these when they start."""
    code = "import os; print(*os.environ)"
    said = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True).stdout
    assert {"DO_NOT_TRACK", "DVC_NO_ANALYTICS", "GX_ANALYTICS_ENABLED", "MLFLOW_DISABLE_TELEMETRY"} <= set(said.split())


def test_the_pages_of_dvc_plots_load_nothing(tmp_path: Path) -> None:
    config = configparser.ConfigParser()
    lines = (ROOT / ".dvc/config").read_text(encoding="utf-8").splitlines()
    config.read_string("\n".join(line.lstrip() for line in lines))
    template = ROOT / ".dvc" / config["plots"]["html_template"]
    rows = [{"step": step, "dice": step / 10, "rev": "workspace"} for step in range(5)]
    plots = [VegaRenderer(rows, "learning.csv", x="step", y="dice"), VegaRenderer(rows, "c", template="scatter")]
    page = Path(render_html(plots, tmp_path / "index.html", html_template=template)).read_text(encoding="utf-8")
    assert page.count("vegaEmbed('#") == 2 and "function vegaEmbed(" in page
    assert not re.search(r"""(src|href)\s*=|@import|url\(|fetch\(""", page)
    assert "default-src 'none'" in page


def test_every_installed_package_has_its_licence_listed(capsys: pytest.CaptureFixture[str]) -> None:
    from brats_cascade.commands.licences import run

    run()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 200
    assert any(re.fullmatch(r"numpy +\S+ +.*BSD.*", line) for line in lines)
    assert licence_of(importlib.metadata.distribution("keras")).startswith("Apache")
