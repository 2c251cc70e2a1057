"""Small copies of the overlays, for git."""

from pathlib import Path

WIDTH = 900  # of a picture, pixels
RANKS = ("best", "median", "worst")


def copy_pictures(root: Path, *, experiment: str, folder: Path, name: str) -> list[Path]:
    """Copies the overlays of the best, the median and the worst case as JPEG.

    Args:
        root: The project's folder.
        experiment: Whose pictures.
        folder: Where they go.
        name: Of the page, the front of their names.

    Returns:
        Those that there were, and those that an earlier run of the experiment has left in the folder.
    """
    from PIL import Image

    written = []
    for rank in RANKS:
        source = root / "reports" / "figures" / experiment / f"{rank}_overlay.png"
        target = folder / f"{name}_{experiment}_{rank}.jpg"
        if source.is_file():
            with Image.open(source) as opened:
                picture = opened.convert("RGB")
            picture.thumbnail((WIDTH, WIDTH))
            picture.save(target, quality=85)
        if target.is_file():
            written.append(target)
    return written
