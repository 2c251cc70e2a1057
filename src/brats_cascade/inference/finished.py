"""Which files of an output folder `predict` has written, and which it must not replace."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brats_cascade.data.case import Case
from brats_cascade.data.writeback import SIGNED, signature
from brats_cascade.errors import UserError
from brats_cascade.inference.volumes import target


def is_finished(case: Case, *, out: Path, kinds: Sequence[str], options: str, overwrite: bool) -> bool:
    """Whether all wanted files (keys of KINDS) of a case exist, as written by `predict` with these options.

    Raises:
        UserError: A file must not be replaced: it was not written by predict, or it was made with other networks or options
            and `overwrite` is not set.
    """
    paths = [target(case.name, kind=kind, out=out) for kind in dict.fromkeys((*kinds, "seg"))]
    made = {path: _options_of(path) for path in paths if path.exists()}
    for path, by in made.items():
        if by is None:
            raise UserError(
                f"{case.name}: {path} was not written by predict or was changed since, so it is not overwritten; move it or "
                "choose another --out"
            )
        if by != options and not overwrite:
            raise UserError(
                f"{case.name}: {path} was predicted with another model or other options; use --overwrite to replace it, or "
                "choose another --out"
            )
    return len(made) == len(paths) and not overwrite


def _options_of(path: Path) -> str | None:
    """The code for networks and options in an unchanged file written by `predict`; None for any other file.

    A file is recognised by its signature, not by its name.
    """
    import nibabel
    import numpy as np

    try:
        if path.suffix == ".png":
            from PIL import Image

            with Image.open(path) as picture:
                note = str(picture.info.get("Software", ""))
            return note.removeprefix(SIGNED).strip() if note.startswith(SIGNED) else None
        image: Any = nibabel.load(path)
        note = image.header["descrip"].item().decode("utf-8", "replace")
        options = note.removeprefix(SIGNED).split()[1] if note.startswith(SIGNED) else ""
        return options if note.startswith(signature(np.asarray(image.dataobj), options=options)) else None
    except Exception:  # readers raise any exception for a damaged file, which is then not one of predict's
        return None


def refuse_input_folders(cases: Sequence[Case], *, out: Path) -> None:
    """Refuses an output folder with scans: a segmentation there would later be mistaken for the case's ground truth."""
    for case in cases:
        files = (*case.images.values(), *filter(None, [case.truth]))
        if out.resolve() in {folder for path in files for folder in (path.parent.resolve(), path.resolve().parent)}:
            raise UserError(
                f"--out {out}: contains the scans of {case.name}; a segmentation there would be mistaken for its ground truth; "
                "choose another folder"
            )
