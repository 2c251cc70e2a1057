"""Which files of an output folder `predict` has written, and which it must not replace."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brats_cascade import MODALITIES
from brats_cascade.data.case import Case
from brats_cascade.data.images import source_files
from brats_cascade.data.writeback import SIGNED, signature
from brats_cascade.errors import UserError
from brats_cascade.inference.volumes import target


def is_finished(case: Case, *, out: Path, kinds: Sequence[str], options: str, overwrite: bool) -> bool:
    """Whether all wanted files (keys of KINDS) of a case exist, as written by `predict` for these scans with these options.

    Raises:
        UserError: A file must not be replaced: it was not written by predict, or it was made from other scans or with other
            networks or options and `overwrite` is not set. Or the scans of a case with files cannot be read.
    """
    paths = [target(case.name, kind=kind, out=out) for kind in dict.fromkeys((*kinds, "seg"))]
    made = {path: _code_of(path) for path in paths if path.exists()}
    scans = _scans_now(case) if made and not overwrite else ""
    for path, by in made.items():
        if by is None:
            raise UserError(
                f"{case.name}: {path} was not written by predict or was changed since, so it is not overwritten; move it or "
                "choose another --out"
            )
        if by != f"{options}.{scans}" and not overwrite:
            other = "from other scans" if by.startswith(f"{options}.") else "with another model or other options"
            raise UserError(
                f"{case.name}: {path} was predicted {other}; use --overwrite to replace it, or choose another --out"
            )
    return len(made) == len(paths) and not overwrite


def code_for(meta: Mapping[str, Any], *, case: Case, options: str) -> str:
    """The code that files of a case are signed with: for networks and options, and for the scans in the case's meta."""
    hashes = {modality: [file["sha256"] for file in meta["sources"][modality]] for modality in meta["modalities"]}
    return f"{options}.{_scans(hashes, case=case)}"


def _scans_now(case: Case) -> str:
    """The code for the scans that the case has now; raises UserError if they could not be assigned, or cannot be read."""
    if set(case.images) != set(MODALITIES):
        reason = "; ".join(case.problems)
        raise UserError(reason if reason.startswith(case.name) else f"{case.name}: {reason}")
    return _scans({key: [file.sha256 for file in source_files(path)] for key, path in case.images.items()}, case=case)


def _scans(hashes: Mapping[str, Sequence[str]], *, case: Case) -> str:
    parts = (sorted(hashes.items()), sorted(case.channels.items()), case.scheme)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:6]


def _code_of(path: Path) -> str | None:
    """The code in an unchanged file written by `predict`; None for any other file.

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
