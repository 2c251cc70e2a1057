"""What already lies in an output folder: what `predict` wrote itself, and what it must not touch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brats_cascade.data.case import Case
from brats_cascade.data.writeback import SIGNED, signature
from brats_cascade.errors import UserError
from brats_cascade.inference.kinds import target


def is_finished(case: Case, *, out: Path, kinds: Sequence[str]) -> bool:
    """Whether every wanted file of a case is in the folder, as `predict` wrote it."""
    paths = [target(case.name, kind=kind, out=out) for kind in {*kinds, "seg"}]
    return all(path.is_file() and is_ours(path) for path in paths)


def foreign_file(case: Case, *, out: Path, kinds: Sequence[str]) -> Path | None:
    """The first file that `predict` did not write and that this case's prediction would replace, or None."""
    paths = [target(case.name, kind=kind, out=out) for kind in (*kinds, "seg")]
    return next((path for path in paths if path.exists() and not is_ours(path)), None)


def is_ours(path: Path) -> bool:
    """Whether `predict` wrote this file, and nobody has changed it since: by its signature, not by its name."""
    import nibabel
    import numpy as np

    if path.suffix == ".png":
        with path.open("rb") as file:
            return f"Software\0{SIGNED}".encode() in file.read(4096)
    try:
        image: Any = nibabel.load(path)
        note = image.header["descrip"].item().decode("utf-8", "replace")
        return note.startswith(SIGNED) and note.startswith(signature(np.asarray(image.dataobj)))
    except Exception:  # nibabel's readers raise anything for a damaged file, and that is none of ours
        return False


def refuse_input_folders(cases: Sequence[Case], *, out: Path) -> None:
    """Refuses an output folder that holds scans: a segmentation there would later pass as the case's ground truth.

    Args:
        cases: All cases of the run.
        out: The folder.

    Raises:
        UserError: Names the case whose file lies there.
    """
    place = out.resolve()
    for case in cases:
        files = [*case.images.values(), *([] if case.truth is None else [case.truth])]
        if any(path.resolve().parent == place for path in files):
            raise UserError(
                f"--out {out}: holds the scans of {case.name}, where a segmentation would be taken for its ground truth; "
                "choose another folder"
            )
