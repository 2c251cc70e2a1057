"""Hooks of MkDocs that replace what an offline site cannot show as GitHub does."""

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)[^)]*\)")
SHIM = re.compile(r"https://[\w./]*/iframe-worker/shim")
ARROW = re.compile(r'^\s*(\w+)(?:\["([^"]*)"\])? -(?:\.-|-)> (\w+)(?:\["([^"]*)"\])?$', re.MULTILINE)

log = logging.getLogger("mkdocs.hooks.site")


def on_config(config: Any) -> Any:
    """Adds pages that are missing in the menu of mkdocs.yml to a separate section."""
    listed = set(re.findall(r"[\w/-]+\.md", str(config.nav)))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    if pages > listed:
        config.nav.append({"More": sorted(pages - listed)})
    return config


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Removes links to files outside docs/, keeping their text, and converts flow charts to lists."""
    folder = posixpath.dirname(page.file.src_uri)

    def without_link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, found[2]))
        if target.startswith("docs/"):
            return found[0]
        if not (ROOT / target).exists():
            log.warning("%s: links to %s, which does not exist", page.file.src_uri, target)
        return found[1] if target in found[1] or "`" in found[1] else f"{found[1]} (`{target}`)"

    charts = re.sub(r"```mermaid\n(.*?)```", lambda found: as_list(found[1]), markdown, flags=re.DOTALL)
    return LINK.sub(without_link, charts)


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """The script with which the search works in pages opened from a disk comes from this site, not from a host."""
    return SHIM.sub(f"{'../' * page.url.count('/')}assets/iframe-worker.js", output)


def on_post_template(output_content: str, *, template_name: str, **_: Any) -> str:
    """The same for the page that is shown where there is none."""
    return SHIM.sub("assets/iframe-worker.js", output_content) if template_name.endswith(".html") else output_content


def as_list(chart: str) -> str:
    """A Mermaid flow chart as a list of what its arrows lead to."""
    names: dict[str, str] = {}
    arrows: dict[str, list[str]] = {}
    for start, first, end, second in ARROW.findall(chart):
        names |= {key: label for key, label in ((start, first), (end, second)) if label}
        arrows.setdefault(start, []).append(end)
    lines = (f"- {names.get(key, key)} → {', '.join(f'**{end}**' for end in ends)}" for key, ends in arrows.items())
    return "\n".join(lines) + "\n"
