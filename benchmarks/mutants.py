"""Mutation testing of the modules on which scores and training sets depend; writes docs/results/mutants.md.

    make mutants

mutmut changes one operator, number, name or text at a time (`[tool.mutmut]` in pyproject.toml). A change after which all
tests of the module still pass is a survivor. benchmarks/equivalent_mutants.yaml lists survivors that no test can detect,
with reasons.
"""

import ast
import contextlib
import datetime
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from brats_cascade.provenance import git_commit
from brats_cascade.report.render import markdown_table
from brats_cascade.shared import write_text

ROOT = Path(__file__).parents[1]
WORK, PAGE, REASONS = ROOT / ".work/mutants", ROOT / "docs/results/mutants.md", Path(__file__).parent
BAR = 0.85
STRICT = r", (strict=\w+)?(?=\))"  # the last argument of zip, or what is left where it was removed
NOTICED = ("killed", "timeout")


@dataclass(frozen=True)
class Mutant:
    """One change of one function, and what came of it ("killed", "survived", "no tests", "timeout" ...)."""

    module: str
    status: str
    line: int
    was: str
    becomes: str
    reason: str = ""

    @property
    def survives(self) -> bool:
        """No test noticed it."""
        return self.status not in NOTICED


def main() -> None:
    """Runs mutmut on a copy of the working tree, one process at low priority, and writes the page; exit 1 below the bar."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, WORK / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", WORK)
    os.nice(10)
    subprocess.run([sys.executable, "-m", "mutmut", "run", "--max-children", "1"], cwd=WORK, check=True)
    with contextlib.chdir(WORK):
        mutants = list(read_mutants(reasons()))
    minutes = round(sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) / 60)
    now = datetime.datetime.now(datetime.UTC).date()
    write_text(PAGE, page(mutants, commit=git_commit(ROOT), date=now, minutes=minutes))
    share = killed_share(mutants)
    print(f"{share:.1%} of {len(mutants)} mutants killed; {PAGE.relative_to(ROOT)}")
    sys.exit(share < BAR)


def reasons() -> dict[tuple[str, str, str], str]:
    """(module, line, changed line) -> why no test can tell the two apart."""
    listed: dict[str, list[dict[str, Any]]] = yaml.safe_load((REASONS / "equivalent_mutants.yaml").read_text("utf-8"))
    return {
        (module, entry["was"], becomes): entry["reason"]
        for module, entries in listed.items()
        for entry in entries
        for becomes in entry["becomes"]
    }


def reason_for(module: str, *, was: str, becomes: str, known: dict[tuple[str, str, str], str]) -> str:
    """Why this mutant is equivalent; nothing where it is not known to be."""
    if re.sub(STRICT, "", was) == re.sub(STRICT, "", becomes):
        return "all zipped sequences have the same length, which `strict` only checks"
    return known.get((module, was, becomes), "")


def read_mutants(known: dict[tuple[str, str, str], str]) -> Iterable[Mutant]:
    """The mutants of a finished run in the working directory."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code

    for meta in sorted(Path("mutants/src").rglob("*.meta")):
        path = meta.relative_to("mutants").with_suffix("")
        data, module = SourceFileMutationData(path=path), "/".join(path.parts[2:])
        data.load()
        for name, code in data.exit_code_by_key.items():
            status = status_by_exit_code[code]
            where = locate(get_diff_for_mutant(name, path=path), source=path.read_text("utf-8"), name=name)
            reason = reason_for(module, was=where[1], becomes=where[2], known=known)
            yield Mutant(module, status, *where, reason=reason)


def locate(diff: str, *, source: str, name: str) -> tuple[int, str, str]:
    """Line number in the file, the changed lines, and what they become, without indentation.

    Args:
        diff: Unified diff of the function alone.
        source: Of the module.
        name: mutmut's name of the mutant: package.module.x_function__mutmut_3, or xǁClassǁmethod__mutmut_3.
    """
    lines = diff.splitlines()[2:]
    was, becomes = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    mangled = name.rpartition(".")[2].partition("__mutmut_")[0]
    of_class, function = mangled.split("ǁ")[1:] if "ǁ" in mangled else ("", mangled.removeprefix("x_"))
    first = next(line[1:].strip() for line in lines if line.startswith("-"))
    guess = int(lines[0].split()[1].partition(",")[0].lstrip("-")) + next(
        number for number, line in enumerate(lines[1:]) if line.startswith("-")
    )
    texts, tree = source.splitlines(), ast.parse(source)
    scope = next((node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == of_class), tree)
    start = next(node.lineno for node in scope.body if isinstance(node, ast.FunctionDef) and node.name == function)
    same = [number for number, text in enumerate(texts, start=1) if number >= start and text.strip() == first]
    return min(same, key=lambda number: abs(number - start + 1 - guess)), was, becomes


def killed_share(mutants: list[Mutant]) -> float:
    """Of all, equivalent ones included."""
    return sum(not mutant.survives for mutant in mutants) / max(len(mutants), 1)


def page(mutants: list[Mutant], *, commit: str, date: datetime.date, minutes: int) -> str:
    """The page as Markdown."""
    modules = sorted({mutant.module for mutant in mutants})
    parts = {module: [mutant for mutant in mutants if mutant.module == module] for module in modules}
    rows = [_summary(name, part) for name, part in [*parts.items(), ("all", mutants)]]
    header = ["module", "mutants", "killed", "share", "equivalent", "other survivors"]
    text = [
        "# Mutation testing",
        "",
        f"Written by `make mutants` at commit {commit[:7]}{commit[40:]} on {date}, in {minutes} minutes of processor time.",
        "[mutmut](https://mutmut.readthedocs.io) changes one operator, number, argument, name or text at a time; a mutant is",
        "killed if a fast test that calls the changed function fails (`[tool.mutmut]` in `pyproject.toml`). Equivalent mutants",
        "behave as the original does; they count as survivors in the share. Constants of a module and decorated functions,",
        "such as properties, are not mutated.",
        "",
        markdown_table([header, *rows], padding=" "),
    ]
    for module, part in parts.items():
        found = [mutant for mutant in part if mutant.survives]
        if found:
            text += ["", f"## {module}", "", markdown_table([["line", "code", "mutant", "note"], *map(_row, found)])]
    return "\n".join(text) + "\n"


def _summary(name: str, part: list[Mutant]) -> list[str]:
    survivors = [mutant for mutant in part if mutant.survives]
    equivalent = sum(bool(mutant.reason) for mutant in survivors)
    counts = (len(part), len(part) - len(survivors), equivalent, len(survivors) - equivalent)
    return [name, *map(str, counts[:2]), f"{killed_share(part):.1%}", *map(str, counts[2:])]


def _row(mutant: Mutant) -> list[str]:
    note = f"equivalent: {mutant.reason}" if mutant.reason else "" if mutant.status == "survived" else mutant.status
    return [str(mutant.line), *(f"`{text.replace('|', chr(92) + '|')}`" for text in (mutant.was, mutant.becomes)), note]


if __name__ == "__main__":
    main()
