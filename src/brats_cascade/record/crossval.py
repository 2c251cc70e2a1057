"""The patient-wise cross-validations: every case predicted once by a model that never saw its patient."""

from collections.abc import Sequence

from brats_cascade.evaluation.paired import against, in_words
from brats_cascade.record.failures import failure_lines
from brats_cascade.record.results import Crossval, Result
from brats_cascade.record.tables import cases_table, grades_table

N4 = ", all with the bias field of T1 and T1c corrected (N4)"


def crossval_sections(crossvals: Sequence[Crossval], *, results: Sequence[Result]) -> dict[str, list[str]]:
    """A section each.

    Args:
        crossvals: Of the same cohort; compared with one another, patient by patient.
        results: The page's experiments; that of the same name tells how long it was trained.

    Returns:
        Title -> Markdown.
    """
    named, trainings = {one.name: one for one in crossvals}, {one.name: one.training for one in results}
    tables = {name: one.cases for name, one in named.items()}
    sections = {}
    for one in crossvals:
        lines = crossval_lines(one)
        if one.experiment in trainings:
            lines[0] += f" The experiment {one.experiment} above was trained {trainings[one.experiment] / 60:.1f} min."
        pairs = []
        for other, regions in against(one.name, tables=tables).items():
            pairs.append(f"- A fold of {one.name}: {_cost(one)}; of {other}: {_cost(named[other])}.")
            pairs += [
                f"- {one.name} minus {other}, Dice {region}: {in_words(numbers)}."
                for region, numbers in regions.items()
            ]
        sections[f"Cross-validation of {one.name}"] = [*lines, "", *pairs] if pairs else lines
    return sections


def _cost(one: Crossval) -> str:
    """What a fold's training cost, on the mean; so that no difference is laid to the wrong cause."""
    precision = f" in {one.record['precision']}" if "precision" in one.record else ""
    return f"{one.pixels / 1e6:.1f} M labelled pixels in {one.training / 60:.1f} min{precision}"


def crossval_lines(one: Crossval) -> list[str]:
    """How it was made, its scores over all cases and grades apart, where it fails, and every case.

    Args:
        one: The cross-validation.

    Returns:
        Markdown.
    """
    folds, tables = one.record["folds"], {one.name: one.cases}
    minutes = [fold["seconds"] / 60 for fold in folds]
    trained = sorted({fold["train"] for fold in folds})
    machines = ", ".join(sorted({fold["machine"] for fold in folds}))
    return [
        f"`python pipelines/crossval.py {one.experiment} --folds {len(folds)}`: {len(one.cases)} cases of "
        f"{one.cases['patient'].nunique()} patients{N4 if one.n4 else ''}, each predicted once by a model that never saw the "
        f"patient, trained on {' or '.join(map(str, trained))} cases; post-processing chosen on each fold's own validation "
        f"patients. A fold's training took {min(minutes):.1f} to {max(minutes):.1f} min for {one.pixels / 1e6:.1f} M labelled "
        f"pixels, on {machines}; commit {one.record['git_commit']}.",
        "",
        *grades_table(tables),
        "",
        *failure_lines([one.cases]),
        "",
        *cases_table(tables),
    ]
