"""Embeds images in self-contained pages, as data URIs."""

import base64
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture(figure: "Figure") -> str:
    """A chart as a data URI."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": ""})
    return _of_file(buffer, lossless=True)


def drawn(path: Path) -> str | None:
    """A chart's file as a data URI; None if there is none."""
    return _of_file(path, lossless=True) if path.is_file() else None


def photograph(path: Path) -> str:
    """An image file as a data URI, compressed with invisible losses to a tenth of its size."""
    return _of_file(path, quality=82)


def lazily(page: str) -> str:
    """Makes a page's images load when they come into view, with their space reserved."""

    def sized(found: re.Match[str]) -> str:
        with Image.open(io.BytesIO(base64.b64decode(found[2]))) as image:
            width, height = image.size
        return f'<img loading="lazy" width="{width}" height="{height}"{found[1]}{found[2]}"'

    return re.sub(r'<img( [^<>]*?src="data:image/webp;base64,)([^"]+)"', sized, page)


def _of_file(source: Path | io.BytesIO, **options: Any) -> str:
    with Image.open(source) as image:
        return webp(image.convert("RGB"), **options)


def webp(image: Image.Image, **options: Any) -> str:
    """An image as a WebP data URI, which all browsers support and which is smaller than PNG and JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", **options)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
