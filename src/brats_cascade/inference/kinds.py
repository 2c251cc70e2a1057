"""The files that a prediction can leave, by name alone."""

from collections.abc import Mapping
from pathlib import Path

KINDS: Mapping[str, str] = {
    "seg": "_seg.nii.gz",
    "probabilities": "_probabilities.nii.gz",
    "uncertainty": "_uncertainty.nii.gz",
    "overlay": "_overlay.png",
    "montage": "_montage.png",
}


def target(case: str, *, kind: str, out: Path) -> Path:
    """The path of one file of a case; `kind` is a key of KINDS."""
    return out / f"{case}{KINDS[kind]}"
