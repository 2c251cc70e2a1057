"""Templates of this package's folder `templates`, rendered with one context each, and the parts of README that they fill."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brats_cascade.errors import UserError


def put_between(readme: Path, *, part: str, text: str) -> None:
    """Replaces what stands between the marks of a part of README, such as `<!-- results:start -->` and `<!-- results:end -->`.

    Raises:
        UserError: The file has no such marks, or not in this order.
    """
    start, end = (f"<!-- {part}:{edge} -->" for edge in ("start", "end"))
    before, _, rest = readme.read_text(encoding="utf-8").partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise UserError(f"{readme}: expected the marks {start} and {end}; add them where the {part} should appear")
    readme.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")


def render(template: str, **context: Any) -> str:
    """Renders a file of `templates`; values are escaped in HTML, and a name that the context lacks is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("brats_cascade.report"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default_for_string=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"table": markdown_table, "paired": paired_text}
    return environment.get_template(template).render(**context)


def markdown_table(rows: Sequence[Sequence[str]], *, padding: str = "") -> str:
    """A Markdown table; the first row is the header, and `padding` stands on either side of a cell."""
    head, *body = rows
    bar = f"{padding}|{padding}"
    return "\n".join(f"|{padding}{bar.join(row)}{padding}|" for row in (head, ["---"] * len(head), *body))


def paired_text(numbers: Mapping[str, float]) -> str:
    """A `paired.paired_difference` for a cell, with its interval and p where it has them."""
    if "difference" not in numbers:
        return ""
    text = f"{numbers['difference']:+.3f}"
    if "low" in numbers:
        text += f" [{numbers['low']:+.3f}, {numbers['high']:+.3f}]"
    if "p" not in numbers:
        return text
    return f"{text} p {numbers['p']:.3f}" if numbers["p"] >= 0.0005 else f"{text} p < 0.001"
