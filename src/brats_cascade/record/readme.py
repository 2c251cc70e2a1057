"""The parts of README that commands write."""

from collections.abc import Sequence
from pathlib import Path

from brats_cascade.errors import UserError


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
