"""One scan of one patient, as its files were found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One scan of one patient: where its files are, nothing read yet.

    Attributes:
        name: Unique in its cohort; also the name of its folder in the volume store. See data.names.
        patient: Two cases with the same patient must not be parted by a split.
        grade: "high", "low" or "unknown".
        release: Key of releases.RELEASES, or "list" for a case of a listing.
        scheme: Key of labels.SCHEMES, for the truth and for what is written back.
        folder: The case's folder.
        images: Modality -> file. A modality that is missing or found twice is left out.
        truth: The truth's file, or None.
        problems: What is wrong with the files, one line each; empty for a case that can be read.
        channels: Modality -> its place along the fourth axis of its file; empty where every file holds one modality.
        namesake: Folder of another case that had the same name before both got one of their own, or "".
        called: What the files call it, where that is not a safe name and `name` is an id; otherwise "".
        above: Names of the folders between the source and the case's own.
        files: Every file that was taken for a part of the case, one that is doubled included.
    """

    name: str
    patient: str
    grade: str
    release: str
    scheme: str
    folder: Path
    images: Mapping[str, Path]
    truth: Path | None
    problems: tuple[str, ...]
    channels: Mapping[str, int] = field(default_factory=dict)
    namesake: str = ""
    called: str = ""
    above: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
