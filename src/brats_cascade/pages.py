"""Renders text from templates: pages, cards and the README of an export."""

from collections.abc import Callable, Mapping
from typing import Any


def render(
    template: str, *, package: str, filters: Mapping[str, Callable[..., str]] | None = None, **context: Any
) -> str:
    """Renders a file from a package's folder `templates`.

    Values are escaped in HTML. A name that is missing in the context is an error.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default_for_string=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(template).render(**context)
