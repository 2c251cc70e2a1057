"""brats-cascade record: the last results as a page and small pictures under docs/results/, for git and the README."""

from functools import partial
from pathlib import Path

from brats_cascade.evaluation.paper import PAPER_NOTE
from brats_cascade.record.basis import Basis, keep_basis, read_basis
from brats_cascade.record.choices import choice_lines
from brats_cascade.record.crossval import crossvals_lines
from brats_cascade.record.crossval_result import Crossval, longest, read_crossval, with_again
from brats_cascade.record.failures import failure_lines
from brats_cascade.record.helps import helps_lines
from brats_cascade.record.kept import (
    keep_crossval,
    keep_helps,
    keep_results,
    kept_again,
    kept_crossvals,
    kept_helps,
    kept_results,
    kept_run,
    with_command,
)
from brats_cascade.record.nine import nine_lines
from brats_cascade.record.origin import origin_lines
from brats_cascade.record.pictures import copy_pictures
from brats_cascade.record.readme import picture_lines, put_between, readme_notes
from brats_cascade.record.results import Result, champions, in_order, read_json, read_results
from brats_cascade.record.tables import cases_table, grades_table, scores_table
from brats_cascade.record.yardstick import yardstick_lines


def run(name: str, *, root: Path, command: str, readme: bool, kept: bool = False) -> Path:
    """Writes docs/results/NAME.md and its pictures from what `dvc repro` left, and from earlier runs on the same data.

    Args:
        name: Of the page.
        root: The project's root.
        command: The command that made the results, to be printed.
        readme: Also put one row an architecture and one picture between README's marks: of its cross-validations that which
            saw the most labelled pixels, or else the best of its experiments on validation.
        kept: Write the page again from what earlier runs left beside it, with the cross-validations and the measurements of
            what helps that are new; nothing else of this folder's last run is read.

    Returns:
        The page.

    Raises:
        UserError: Nothing has been compared yet, nothing was kept, or README has no marks.
    """
    folder = root / "docs" / "results"
    own, basis = kept_run(folder / name) if kept else _last_run(root, folder=folder / name, command=command)
    results = in_order([*own, *kept_results(folder / name, like=own[0], but=[one.name for one in own])])
    best = champions(results)
    tables = {one.name: one.cases for one in results}
    crossvals = in_order(_crossvals(root, folder=folder / name, like=own[0]))
    again = kept_again(folder / name, crossvals=crossvals)
    table = partial(scores_table, baseline=basis.baseline, patients=best[0].summary["patients"])
    pictures = {one.name: copy_pictures(root, experiment=one.name, folder=folder, name=name) for one in best}
    sections = {
        "Grades apart": grades_table(tables),
        "Beside today's usual choice": yardstick_lines(results),
        "What each choice brings": choice_lines(results),
        "What helps": helps_lines(results, measured=_measured(root, folder=folder / name, like=own[0])),
        "Where they fail": failure_lines([one.cases for one in best]),
        "Cross-validations": crossvals_lines(crossvals, results=results, again=again),
        "The earlier work's nine slices": nine_lines(results),
        "Every unseen patient": cases_table(tables),
        "Pictures": [f"![{path.stem}]({path.name})\n" for paths in pictures.values() for path in paths],
    }
    written = f"brats-cascade record {name} " + ("--kept" if kept else f"--command '{command}'") + " --readme" * readme
    head = origin_lines(results, written=written, splits=basis.splits) + basis.cost
    lines = [
        f"# Results: {name}",
        "",
        *(line + "\n" for line in head),
        *table(results, crossvals=with_again(crossvals, again=again)),
        "",
        *_missing(basis.listed, results=results),
    ]
    for title, body in sections.items():
        lines += [f"## {title}", "", *body, ""] if body else []
    page = folder / f"{name}.md"
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    if readme:
        papers = [one for one in best if one.architecture != "unet"] or best  # the project's own, not the yardstick
        shown = pictures.get(max(papers, key=lambda one: one.validation).name, [])
        # Cross-validations are over more patients than the split's unseen ones. Of several the longest: no score chooses it.
        folds = longest(crossvals)
        others = [one for one in best if one.architecture not in {one.architecture for one in folds}]
        notes = readme_notes(others, folds=folds, again=again, page=page.relative_to(root))
        rows = table(others, crossvals=with_again(folds, again=again))  # the rest is on the page
        lines = [*rows, "", f"{notes} {PAPER_NOTE}", ""]
        put_between(root / "README.md", part="results", lines=[*lines, *picture_lines(shown, root=root)])
    return page


def _last_run(root: Path, *, folder: Path, command: str) -> tuple[list[Result], Basis]:
    """The results of the last run, which are kept from now on."""
    basis = read_basis(root, command=command)
    own = with_command(read_results(root, names=basis.experiments), command=command)
    keep_results(folder, results=own)
    keep_basis(folder, basis=basis)
    return own, basis


def _missing(listed: list[str], *, results: list[Result]) -> list[str]:
    """Names the experiments of params.yaml that the page has no results of."""
    names = [one for one in listed if one not in {result.name for result in results}]
    return [f"Not trained yet: {', '.join(names)}.", ""] if names else []


def _measured(root: Path, *, folder: Path, like: Result) -> dict[bool, dict[str, object]]:
    """Ingested with N4 or not -> what `pipelines/helps.py` found, in this run or an earlier one."""
    for path in sorted((root / "reports/helps").glob("*.json")):
        keep_helps(folder, found=read_json(path), like=like)
    return {bool(one["n4"]): one for one in kept_helps(folder, like=like)}


def _crossvals(root: Path, *, folder: Path, like: Result) -> list[Crossval]:
    """Every cross-validation of this cohort, of this run or an earlier one."""
    for path in sorted((root / "reports/crossval").glob("*/summary.json")):
        keep_crossval(folder, crossval=read_crossval(path, cases=path.with_name("cases.csv")))
    return kept_crossvals(folder, like=like)
