"""The documentation site, built strictly: every page is in it and loads nothing; and the notebook, whose cells run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tiny import ROOT, environment, shell

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning, such as of a link to nothing, would end the build."""
    folder = tmp_path_factory.mktemp("site") / "site"
    program = Path(sys.executable).with_name("mkdocs")
    shell(ROOT, str(program), "build", "--quiet", "--strict", "--site-dir", str(folder), NO_MKDOCS_2_WARNING="1")
    return folder


@pytest.mark.slow
def test_no_page_loads_anything_from_a_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loads = re.findall(r"<(?:script|img|iframe|link|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>", text)
        assert loads == [] and "@import" not in text and 'class="mermaid"' not in text, page
        # The script that lets the search work from a disk lies where the page says.
        [shim] = re.findall(r'src="([./]*assets/iframe-worker\.js)"', text)
        assert (page.parent / shim).is_file(), page
    for style in site.rglob("*.css"):
        assert not re.search(r"@import|url\([\"']?(?:https?:)?//", style.read_text(encoding="utf-8")), style


@pytest.mark.slow
def test_the_reference_has_the_docstrings_and_the_pages_what_github_draws(site: Path) -> None:
    page = (site / "reference/inference.html").read_text(encoding="utf-8")
    assert "Segments a case from its files." in page and "brats_cascade.inference.predict.predict_case" in page
    assert "_whole" not in page  # private
    assert "report: pages, tables and cards" in (site / "architecture.html").read_text(encoding="utf-8")
    assert "Keep a Changelog" in (site / "changelog.html").read_text(encoding="utf-8")
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    assert {"bad-input.html", "replication.html"} <= {entry["location"].partition("#")[0] for entry in index["docs"]}


@pytest.mark.slow
def test_every_page_is_in_the_menu(site: Path) -> None:
    menu = set(
        re.findall(r'<a href="([\w./-]+\.html)" class="md-nav__link', (site / "index.html").read_text(encoding="utf-8"))
    )
    pages = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    assert pages - menu - {"index.html"} == set()


@pytest.mark.slow
@pytest.mark.long
def test_the_notebook_runs_and_leaves_nothing(tmp_path: Path) -> None:
    book = json.loads((DOCS / "start.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    cells.append("assert picture.stat().st_size > 20_000 and dice['complete'] > 0.2, dice")
    shown = "import sys, types; sys.modules['IPython.display'] = types.SimpleNamespace(Image=lambda filename: filename)"
    (tmp_path / "book.py").write_text("\n".join([shown, *cells]), encoding="utf-8")
    before = set(DOCS.iterdir())
    done = subprocess.run(
        [sys.executable, str(tmp_path / "book.py")],
        cwd=DOCS, env=environment(TMPDIR=str(tmp_path)), capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(DOCS.iterdir()) == before and not list(tmp_path.glob("brats-cascade-*"))


def test_what_other_programs_read_is_valid_and_runs_what_is_here() -> None:
    yaml = YAML(typ="safe")
    flow = yaml.load(ROOT / ".github/workflows/ci.yml")
    commands = [step["run"] for job in flow["jobs"].values() for step in job["steps"] if "run" in step]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    made = {word.split()[1] for word in commands if word.startswith("make ")}
    assert made == {"lint", "test-fast", "test-all", "docs"} <= targets
    assert flow["jobs"]["fast"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    for hook in yaml.load(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]:
        assert all((ROOT / word).is_file() for word in hook["entry"].split() if word.startswith("tests/"))
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    docker = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f" AS {container['build']['target']}\n" in docker
    copied = {word for line in re.findall(r"^COPY (.*) \S+$", docker, re.MULTILINE) for word in line.split()}
    listed = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split() if line[0] == "!"}
    assert copied == listed and all((ROOT / name).exists() for name in copied)
