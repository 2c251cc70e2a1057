"""The parts of README that commands write."""

from collections.abc import Sequence
from pathlib import Path

from brats_cascade.errors import UserError
from brats_cascade.record.crossval_result import Crossval, spread
from brats_cascade.record.results import Result


def put_between(readme: Path, *, part: str, lines: Sequence[str]) -> None:
    """Replaces what stands between a part's two marks.

    Args:
        readme: The file.
        part: "results" or "speed": its marks are `<!-- results:start -->` and `<!-- results:end -->`.
        lines: What is put there, on lines of its own.

    Raises:
        UserError: The file has no such marks, or not in this order.
    """
    start, end = (f"<!-- {part}:{edge} -->" for edge in ("start", "end"))
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise UserError(f"{readme}: expected the marks {start} and {end}; put them where the {part} shall stand")
    readme.write_text("\n".join([before + start, *lines, end + after]), encoding="utf-8")


def readme_notes(others: Sequence[Result], *, folds: Sequence[Crossval], again: Sequence[Crossval], page: Path) -> str:
    """What a reader of README's table has to know of its rows.

    Args:
        others: The experiments with a row, each the best of its architecture on validation.
        folds: The cross-validations with a row, each the longest of its architecture.
        again: Folds of these that were trained once more on another machine.
        page: docs/results/NAME.md, from the project's root.
    """
    words = ["Names are those of the presets; `_n4`: on scans with their bias field corrected."]
    if folds:
        words.append(
            "Of an architecture's cross-validations the one with the most labelled pixels is shown, whatever it reached."
        )
    for note in dict.fromkeys(one.record.get("note") for one in folds):
        if note:
            names = [one.name for one in folds if one.record.get("note") == note]
            words.append(f"{', '.join(names)}: {note}.")
    shown = {one.name for one in folds}
    without_gpu = [one for one in folds if not one.card]  # a GPU is named in the row itself
    for one in [*without_gpu, *(one for one in again if one.name in shown)]:
        taken = [f"{spread(part.minutes, decimals=0)} min on {machine}" for machine, part in one.by_machine().items()]
        words.append(f"{'Trained once more, a' if one.again else 'A'} fold of {one.name} took {' and '.join(taken)}.")
    if others:
        rows = "A row without the number of patients" if folds else "A row"
        patients = others[0].summary["patients"]
        words.append(
            f"{rows} is over the {patients} unseen ones of one split, the best of its architecture on validation."
        )
    words.append(f"How this was made, the other experiments and every patient: [{page.as_posix()}]({page.as_posix()}).")
    return " ".join(words)


def picture_lines(pictures: Sequence[Path], *, root: Path) -> list[str]:
    """The median unseen patient as a picture in Markdown; empty without one.

    Args:
        pictures: Of one experiment.
        root: The project's root, where README lies.
    """
    median = [path.relative_to(root).as_posix() for path in pictures if path.stem.endswith("_median")]
    return [f"![the median unseen patient: truth above, prediction below]({path})" for path in median[:1]]
