"""The files of one scan of one patient."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One scan of one patient: where its files are. No file has been read yet.

    Attributes:
        name: Unique within the cohort; also the name of its folder in the volume store. See data.names.
        patient: All cases of one patient must be in the same set of a split.
        grade: "high", "low" or "unknown".
        release: Key of releases.RELEASES, or "list" for a case of a listing.
        scheme: Key of labels.SCHEMES, for the ground truth and for segmentations that are written.
        folder: The case's folder.
        images: Modality -> file. A modality that is missing or was found twice is left out.
        truth: The ground truth's file, or None.
        problems: What is wrong with the files, one line each; empty for a case that can be read.
        channels: Modality -> index along the fourth axis of its file; empty if every file holds one modality.
        namesake: Folder of another case that had the same name before both were renamed, or "".
        called: The original name, if it is not safe to use and `name` is an id; otherwise "".
        above: Names of the folders between the source and the case's folder.
        files: All files that were assigned to the case, including duplicates.
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
