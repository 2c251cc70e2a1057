"""The patient-wise cross-validations: every case predicted once by a model that never saw its patient."""

from collections.abc import Collection, Sequence

from brats_cascade.evaluation.paired import in_short, in_words, paired_difference
from brats_cascade.labels import REGIONS
from brats_cascade.record.crossval_result import Crossval, spread, with_again
from brats_cascade.record.failures import failure_lines
from brats_cascade.record.results import Result
from brats_cascade.record.tables import cases_table, grades_table, markdown

EVERY = (
    "Every case is predicted once, by a model that never saw its patient; the post-processing is chosen on each fold's own "
    "validation patients."
)
N4 = ", all with the bias field of T1 and T1c corrected (N4)"


def crossvals_lines(
    crossvals: Sequence[Crossval], *, results: Sequence[Result], again: Sequence[Crossval] = ()
) -> list[str]:
    """How each was made, the best on validation beside the others, grades apart, where the best fails, every case.

    Args:
        crossvals: Of the same cohort.
        results: The page's experiments; that of the same name tells how long it was trained.
        again: Folds of these that were trained once more on another machine.

    Returns:
        Markdown; empty without any.
    """
    if not crossvals:
        return []
    trainings = {one.name: one.training for one in results}
    tables = {one.title: one.cases for one in with_again(crossvals, again=again)}
    lines = [f"{EVERY} Which preset each is of: [training.md](../training.md#cross-validation).", ""]
    for one in crossvals:
        longer = trainings.get(one.experiment)
        told = "" if longer is None else f" The experiment {one.experiment} above was trained {longer / 60:.1f} min."
        lines.append(f"- {one.name}: {_how(one)}{told}")
    lines.append("")
    alike = _alike(crossvals)
    leaders = [max(some, key=lambda one: one.validation) for some in alike]
    for best, some in zip(leaders, alike, strict=True):
        lines += _beside(best, alike=some, leaders=leaders)
    return [
        *lines, *_n4_pairs(crossvals), *_again(again, first=crossvals),
        *grades_table(tables), "",
        *(line for best in leaders for line in (f"{best.name}: {failure_lines([best.cases])[0]}", "")),
        *cases_table(tables),
    ]  # fmt: skip


def crossval_lines(one: Crossval) -> list[str]:
    """How it was made, its scores over all cases and grades apart, where it fails, and every case.

    Args:
        one: The cross-validation.

    Returns:
        Markdown.
    """
    tables = {one.title: one.cases}
    how = f"{EVERY} {one.title}: {_how(one)}"
    return [how, "", *grades_table(tables), "", *failure_lines([one.cases]), "", *cases_table(tables)]


def _how(one: Crossval) -> str:
    """How it was made and what it cost."""
    folds = one.record["folds"]
    trained, watched = ({fold[part] for fold in folds} for part in ("train", "validation"))
    note = f" ({one.record['note']})" if one.record.get("note") else ""
    return (
        f"`python pipelines/crossval.py {one.experiment} --folds {len(folds)}`: {len(one.cases)} cases of "
        f"{one.cases['patient'].nunique()} patients{N4 if one.n4 else ''}; trained on {_numbers(trained)} cases, "
        f"{_numbers(watched)} for validation. A fold's training took {spread(one.minutes, decimals=1)} min for "
        f"{one.pixels / 1e6:.1f} M labelled pixels, on {' and '.join(one.machines)}{note}; commit "
        f"{one.record['git_commit']}."
    )


def _numbers(some: Collection[int]) -> str:
    return " or ".join(map(str, sorted(some)))


def _alike(crossvals: Sequence[Crossval]) -> list[list[Crossval]]:
    """Those that validation can rank: on the same volumes, with the same validation cases. Uncorrected scans first."""
    found: dict[object, list[Crossval]] = {}
    for one in sorted(crossvals, key=lambda one: one.n4):
        found.setdefault((one.n4, one.validation_cases), []).append(one)
    return list(found.values())


def _beside(best: Crossval, *, alike: Sequence[Crossval], leaders: Sequence[Crossval]) -> list[str]:
    """The best on validation against those that this ranks it with, or, of one alone, against the best of the other ones.

    Args:
        best: Of `alike`.
        alike: Those on the same volumes with the same validation cases.
        leaders: The best of all such groups; those on other volumes are left out.

    Returns:
        Markdown; empty where there is no other.
    """
    others = [one for one in (alike if len(alike) > 1 else leaders) if one is not best and one.n4 == best.n4]
    if not others:
        return []
    head = [
        f"{best.name} minus", *(f"Dice {region}" for region in REGIONS), "Dice on validation", "labelled pixels", "training",
        "a case",
    ]  # fmt: skip
    rows = [head]
    for one in others:
        differences = [paired_difference(best.cases, one.cases, region=region) for region in REGIONS]
        costs = [
            f"{best.pixels / 1e6:.1f} : {one.pixels / 1e6:.1f} M",
            f"{_time(best)} : {_time(one)}",
            f"{best.prediction:.1f} : {one.prediction:.1f} s",
        ]
        watched = f"{best.validation:.3f} : {one.validation:.3f}" if len(alike) > 1 else "other patients"
        rows.append([one.name, *map(in_short, differences), watched, *costs])
    scans = "corrected scans" if best.n4 else "scans as they are"
    ranked = (
        f"Of those on {scans} with the same validation patients, {best.name} has the highest mean Dice on these, who are few: "
        "folds may share one."
        if len(alike) > 1
        else f"No other one on {scans} has the validation patients of {best.name}, so validation does not rank it."
    )
    return [
        f"{ranked} Paired differences of its Dice on the unseen patients, above 0 where it is better, with 95 % bootstrap "
        "intervals. p is Wilcoxon's, not corrected for their number: of twenty comparisons one falls below 0.05 by chance "
        "alone.",
        "",
        *markdown(rows),
        "",
    ]


def _time(one: Crossval) -> str:
    precision = f" in {one.record['precision']}" if "precision" in one.record else ""
    return f"{one.training / 60:.1f} min{precision}{f', {one.card}' if one.card else ''}"


def _n4_pairs(crossvals: Sequence[Crossval]) -> list[str]:
    """What N4 brings, where one experiment was cross-validated with it and without."""
    plain = {one.experiment: one for one in crossvals if not one.n4}
    lines = []
    for one in (one for one in crossvals if one.n4 and one.experiment in plain):
        for region in REGIONS:
            numbers = paired_difference(one.cases, plain[one.experiment].cases, region=region)
            lines.append(f"- {one.name} minus {one.experiment}, Dice {region}: {in_words(numbers)}.")
    return [*lines, ""] if lines else []


def _again(again: Sequence[Crossval], *, first: Sequence[Crossval]) -> list[str]:
    """Folds that were trained once more elsewhere: what each machine took, both scores, how far two trainings part."""
    named, lines = {one.name: one for one in first}, []
    for one in again:
        other = named[one.name].of_folds(one.numbers)
        taken = "; ".join(
            f"{'folds' if len(part.numbers) > 1 else 'fold'} {', '.join(map(str, part.numbers))} on {machine}, commit "
            f"{', '.join(sorted({fold['git_commit'] for fold in part.record['folds']}))}: "
            f"{spread(part.minutes, decimals=1)} min for {part.pixels / 1e6:.1f} M labelled pixels, "
            f"{part.prediction:.1f} s a case"
            for machine, part in one.by_machine().items()
        )
        parted = [in_short(paired_difference(one.cases, other.cases, region=region)) for region in REGIONS]
        lines.append(
            f"- {one.name}, trained once more: {taken}. Dice on the {len(one.cases)} unseen cases {_dice(one)}; in the "
            f"cross-validation {_dice(other)}. The difference between the two trainings, paired: {' / '.join(parted)}."
        )
    return [*lines, ""] if lines else []


def _dice(one: Crossval) -> str:
    return " / ".join(f"{one.cases[f'{region}_dice'].mean():.3f}" for region in REGIONS)
