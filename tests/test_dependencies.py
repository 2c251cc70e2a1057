"""What dvc.yaml says a stage depends on, held to what its script imports."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
FOLDERS = (ROOT / "src", ROOT / "pipelines")
STAGES: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
# What a stage may import without depending on it, and why an edit there leaves its outputs as they are.
NO_PART_OF_ANY_RESULT = {
    "src/brats_cascade/__init__.py": "the version, the four modalities' fixed order, the phantom's name",
    "src/brats_cascade/backend.py": "starts Keras",
    "src/brats_cascade/params": "the values come through params.yaml, which DVC compares",
    "src/brats_cascade/costs.py": "costs are no outputs; compare, which shows them, depends on it",
    "src/brats_cascade/errors.py": "messages",
    "src/brats_cascade/interrupted.py": "how a process ends",
    "src/brats_cascade/metering.py": "costs, which are no outputs",
    "src/brats_cascade/leaving.py": "how a process ends",
    "src/brats_cascade/orphans.py": "ends a stage whose DVC was killed",
    "src/brats_cascade/project.py": "where files lie; DVC looks for a stage's outputs itself",
    "src/brats_cascade/provenance.py": "machine, commit, and a hash of the code that finds kept work",
    "src/brats_cascade/shapes.py": "which files are refused as damaged",
    "src/brats_cascade/shared.py": "locks on caches",
    "src/brats_cascade/data/spread.py": "how many processes share the cases",
    "src/brats_cascade/report/card.py": "words for MLflow; compare, which registers them, depends on it",
    "src/brats_cascade/inference/fit.py": "a warning of cases that a network was not made for",
    "src/brats_cascade/stages/champion.py": "sends to MLflow what lies in files",
    "src/brats_cascade/stages/cost.py": "notes of time and memory, in .work",
    "src/brats_cascade/stages/logged.py": "sends to MLflow what lies in files",
    "src/brats_cascade/stages/script.py": "arguments, logging, errors",
    "src/brats_cascade/tracking": "sends to MLflow what lies in files",
}


def _stage(name: str) -> dict[str, Any]:
    return STAGES[name].get("do", STAGES[name])


def _file(module: str) -> Path | None:
    for folder in FOLDERS:
        place = folder.joinpath(*module.split("."))
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                return path.relative_to(ROOT)
    return None


@cache
def _imports(path: Path) -> frozenset[Path]:
    """The project's files that a file imports, at its top or anywhere below, with the packages that they lie in."""

    def names() -> Iterator[str]:
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert not node.level, f"{path}: a relative import, which this test does not follow"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    whole = (name.split(".") for name in names())
    files = {_file(".".join(parts[:end])) for parts in whole for end in range(1, len(parts) + 1)}
    return frozenset(found for found in files if found is not None)


def _within(path: Path, places: set[str]) -> bool:
    return any(place in places for place in (path.as_posix(), *(folder.as_posix() for folder in path.parents)))


def _reached(script: Path) -> set[Path]:
    """All that a script imports, directly or through others; what is no part of any result is not followed."""
    found, ahead = {script}, [script]
    while ahead:
        for path in _imports(ahead.pop()) - found:
            if not _within(path, set(NO_PART_OF_ANY_RESULT)):
                found.add(path)
                ahead.append(path)
    return found


def _has_code(path: Path) -> bool:
    return any(not isinstance(node, ast.Expr) for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body)


def _is_code(place: str) -> bool:
    return place.startswith(("src/", "pipelines/"))


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_every_module_that_it_imports(name: str) -> None:
    stage = _stage(name)
    script = Path(stage["cmd"].split()[1])
    places = {place for place in stage["deps"] if _is_code(place)}
    missing = {path.as_posix() for path in _reached(script) if not _within(path, places) and _has_code(path)}
    assert not missing, f"dvc.yaml, {name}: add to deps {sorted(missing)}"


@pytest.mark.parametrize("name", ["ingest", "train"])
def test_a_long_stage_depends_on_no_module_that_it_does_not_import(name: str) -> None:
    """Or an edit of what is used elsewhere alone, such as for inference, would train everything again."""
    stage = _stage(name)
    reached = _reached(Path(stage["cmd"].split()[1]))
    listed = [ROOT / place for place in stage["deps"] if _is_code(place)]
    files = [path for place in listed for path in ([place] if place.is_file() else place.rglob("*.py"))]
    assert all(place.exists() for place in listed)
    excess = {path.relative_to(ROOT).as_posix() for path in files if path.relative_to(ROOT) not in reached}
    excess = {path for path in excess if _has_code(Path(path)) and not _within(Path(path), set(NO_PART_OF_ANY_RESULT))}
    assert not excess, f"dvc.yaml, {name}: take from deps {sorted(excess)}"


def test_what_is_excepted_exists() -> None:
    assert all((ROOT / place).exists() for place in NO_PART_OF_ANY_RESULT)


def test_the_architecture_page_names_what_reruns_and_every_folder() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.split("stages that rerun |")[1].splitlines() if "`" in line]
    for place, named in [row for row in rows if len(row) == 2]:
        path = f"src/brats_cascade/{place.strip('`')}"
        assert (ROOT / path).exists(), path
        rerun = [name for name in STAGES if _within(Path(path), {dep for dep in _stage(name)["deps"] if _is_code(dep)})]
        assert named == (", ".join(rerun) or "none"), path
    folders = {path.parent.name for path in (ROOT / "src/brats_cascade").glob("*/__init__.py")}
    assert {name for name in folders if name not in page} == set()
    files = set(re.findall(r"`(\w+/\w+\.py)`", page))
    assert {name for name in files if not (ROOT / "src/brats_cascade" / name).is_file()} == set()
