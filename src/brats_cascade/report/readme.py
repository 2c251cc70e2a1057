"""The parts of README that commands write."""

from pathlib import Path

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
