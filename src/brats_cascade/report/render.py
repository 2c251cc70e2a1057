"""Renders this package's templates, and fills the generated parts of README."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from brats_cascade import pages
from brats_cascade.errors import UserError
from brats_cascade.labels import LABELS, NECROSIS, NON_ENHANCING
from brats_cascade.shared import write_text


def put_between(readme: Path, *, part: str, text: str) -> None:
    """Replaces the text between the marks of a part of README, such as `<!-- speed:start -->` and `<!-- speed:end -->`.

    Raises:
        UserError: README or the marks are missing, or the marks are in the wrong order.
    """
    start, end = (f"<!-- {part}:{edge} -->" for edge in ("start", "end"))
    before, _, rest = (readme.read_text(encoding="utf-8") if readme.is_file() else "").partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise UserError(f"{readme}: expected the marks {start} and {end}; add them where the text should appear")
    write_text(readme, f"{before}{start}\n{text}\n{end}{after}")


def render(template: str, **context: Any) -> str:
    """Renders a file from this package's folder `templates`."""
    filters: dict[str, Callable[..., str]] = {
        **{"table": markdown_table, "paired": paired_text, "interval": with_interval, "short": short},
        "agreement": agreement_text,
    }
    return pages.render(template, package="brats_cascade.report", filters=filters, **context)


def class_names(classes: Collection[int]) -> dict[int, str]:
    """The names of a network's classes: without label 3, as in the merged releases, label 1 is both parts of the core."""
    merged = {} if NON_ENHANCING in classes else {NECROSIS: f"{LABELS[NECROSIS]} and {LABELS[NON_ENHANCING]}"}
    return {label: merged.get(label, LABELS[label]) for label in classes}


def short(value: float | None, form: str = ".3g", factor: float = 1) -> str:
    """A number with three digits, or in the format `form`; "" if it is unknown (None, NaN)."""
    return "" if value is None or math.isnan(value) else format(factor * value, form)


def markdown_table(rows: Sequence[Sequence[str]], *, padding: str = "") -> str:
    """A Markdown table; the first row is the header, and `padding` surrounds the content of each cell."""
    head, *body = rows
    bar = f"{padding}|{padding}"
    return "\n".join(f"|{padding}{bar.join(row)}{padding}|" for row in (head, ["---"] * len(head), *body))


def paired_text(numbers: Mapping[str, float]) -> str:
    """A cell with a `paired_difference`, its interval and p, as far as it has them."""
    if "difference" not in numbers:
        return ""
    text = f"{numbers['difference']:+.3f}"
    if "low" in numbers:
        text += f" [{numbers['low']:+.3f}, {numbers['high']:+.3f}]"
    if "p" not in numbers:
        return text
    return f"{text} p {numbers['p']:.3f}" if numbers["p"] >= 0.0005 else f"{text} p < 0.001"


def with_interval(scores: Mapping[str, float]) -> str:
    """A cell with the mean Dice and its 95 % interval, if there is one."""
    text = f"{scores['dice']:.3f}"
    return f"{text} [{scores['dice_low']:.2f}, {scores['dice_high']:.2f}]" if "dice_low" in scores else text


def agreement_text(numbers: Mapping[str, float]) -> str:
    """A cell with the bias of a region's volumes and its limits of agreement, cm3, if there are any."""
    if "volume_bias" not in numbers:
        return "-"
    text = f"{numbers['volume_bias']:+.1f}"
    return f"{text} [{numbers['volume_low']:+.1f}, {numbers['volume_high']:+.1f}]" if "volume_low" in numbers else text
