"""Writes viewer pages: one that scrolls through a case with NiiVue, and one that lists cases. They load nothing."""

import base64
import gzip
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from brats_cascade import MODALITIES
from brats_cascade.drawing.figures import LABEL_COLOURS
from brats_cascade.drawing.overlays import NAMES
from brats_cascade.inference.labelled import labels_of_scheme
from brats_cascade.report.render import render
from brats_cascade.report.scene import Scene, packed, thumbnail
from brats_cascade.shared import write_text

NIIVUE = Path(__file__).parent / "niivue"
INDEX = "index.html"
# Values in the difference volume of prediction and ground truth -> colour and meaning.
DIFFERENCES = {
    5: ("#FE6100", "missed: tumour in the ground truth alone"),
    6: ("#00C2D1", "extra: tumour in the prediction alone"),
    7: ("#F0E442", "tumour in both, with different labels"),
}
KINDS = {"truth": "Ground truth", "prediction": "Prediction", "difference": "Difference", "none": "None"}


def viewer_page(scene: Scene, *, back: str | None = None) -> str:
    """A self-contained page for scrolling through a case; `back` is the address of the page that lists the cases."""
    kinds = [kind for kind in ("truth", "prediction") if kind in scene.volumes]
    kinds += ["difference"] if len(kinds) == 2 else []
    data = {
        "volumes": {part: packed(voxels, affine=scene.affine) for part, voxels in scene.volumes.items()},
        "first": scene.first[::-1],
        "shape": scene.volumes[MODALITIES[0]].shape[::-1],
        "centre": scene.centre[::-1],
        "colours": {**LABEL_COLOURS, **{number: colour for number, (colour, _) in DIFFERENCES.items()}},
    }
    return render(
        "viewer.html.j2",
        scene=scene,
        data=data,
        back=back,
        modalities=NAMES,
        kinds={kind: KINDS[kind] for kind in (*kinds, "none")},
        labels=[(label.colour, label.name) for label in labels_of_scheme(scene.scheme)],
        differences=DIFFERENCES.values(),
        niivue=_niivue(),
        licence=(NIIVUE / "LICENSE").read_text(encoding="utf-8"),
    )


def write_cases(folder: Path, scenes: Iterable[Scene], *, title: str, note: str = "") -> Path:
    """Writes a page per case and the page that lists them, lowest Dice first; returns the path of the latter."""
    rows: list[dict[str, Any]] = []
    for scene in scenes:
        page = f"{scene.name}.html"
        if page.casefold() == INDEX:  # reserved for the list
            page = f"{scene.name}_case.html"
        write_text(folder / page, viewer_page(scene, back=INDEX))
        rows.append({"name": scene.name, "page": page, "picture": thumbnail(scene), "regions": scene.regions})
    dice = {row["name"]: row["regions"]["complete"]["dice"] for row in rows}
    rows.sort(key=lambda row: (2.0 if dice[row["name"]] is None else dice[row["name"]], row["name"]))
    write_text(folder / INDEX, render("cases.html.j2", rows=rows, title=title, note=note))
    return folder / INDEX


@cache
def _niivue() -> str:
    """NiiVue's bundle, gzip in base64."""
    return base64.b64encode(gzip.compress((NIIVUE / "niivue.umd.js").read_bytes(), mtime=0)).decode()
