"""Finds label files in a folder, from any tool, and the case that their names state."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from brats_cascade.data.names import safe_id
from brats_cascade.data.releases import patient_named
from brats_cascade.data.unused import READ, walk

# Formats in which other tools write segmentations, which are not supported here.
FOREIGN = (
    ".nrrd", ".seg.nrrd", ".nhdr", ".hdr", ".img", ".mgz", ".mgh", ".npy", ".npz", ".h5", ".tif", ".tiff", ".dcm",
)  # fmt: skip
# Common suffixes after a case's name: those of BraTS, this project, nnU-Net and others.
_WORDS = r"seg|segmentation|truth|gt|label|labels|pred|prediction|mask|ot"
TAIL = re.compile(rf"[._-]({_WORDS})$", re.IGNORECASE)
BARE = re.compile(rf"({_WORDS}|output)", re.IGNORECASE)
PREDICTED = re.compile(r"(^|[._-])(pred|prediction)$", re.IGNORECASE)
NOT_LABELS = re.compile(
    r"[._-](flair|t1|t1c|t1ce|t1gd|t2|t1n|t1w|t2w|t2f|probabilities|probability|uncertainty)$", re.IGNORECASE
)


@dataclass(frozen=True)
class Labelled:
    """A label file: its case, patient (the case if unknown), grade, and label scheme if known."""

    case: str
    patient: str
    grade: str
    scheme: str | None
    path: Path

    @classmethod
    def from_file(cls, path: Path) -> "Labelled":
        """The information in a file's name."""
        name = case_of(path)
        return cls(name, patient_named(name), "unknown", None, path)


@dataclass
class LabelFiles:
    """The label files of a folder."""

    found: dict[str, list[Labelled]] = field(default_factory=dict)  # case -> its files
    unusable: dict[str, str] = field(default_factory=dict)  # case, file or folder -> one-line reason

    def add(self, labelled: Labelled) -> None:
        """Adds a file to those of its case."""
        self.found.setdefault(labelled.case, []).append(labelled)


def case_of(path: Path) -> str:
    """A file's name without its ending and common suffixes; for `seg.nii.gz` the folder's name."""
    stem = _stem(path)
    return safe_id(path.absolute().parent.name if BARE.fullmatch(stem) else TAIL.sub("", stem))


def is_prediction_by_name(path: Path) -> bool:
    """Whether the name marks the file as a prediction."""
    return bool(PREDICTED.search(_stem(path)))


def list_label_files(place: Path) -> LabelFiles:
    """Accounts for every file in a folder, at any depth, that could hold labels; links are followed.

    Files of unsupported formats are reported only if their case has no other file.
    """
    files = LabelFiles()
    foreign: dict[str, Path] = {}
    closed: list[OSError] = []
    for path in walk(place, closed=closed.append):
        name = path.name.lower()
        if name.endswith(READ):
            if NOT_LABELS.search(_stem(path)):
                continue
            if not path.exists():
                case = case_of(path)
                files.unusable[case] = f"{case}: {path}: is a link to a file that is not there; copy the file itself"
            else:
                files.add(Labelled.from_file(path))
        elif name.endswith(FOREIGN):
            foreign.setdefault(case_of(path.with_name(_without(path.name, FOREIGN) + ".nii")), path)
    for error in closed:
        path = Path(str(error.filename))
        files.unusable[str(path)] = f"{path}: the folder cannot be listed ({error.strerror}); check its permissions"
    for case, path in foreign.items():
        if case not in files.found:
            files.unusable.setdefault(case, f"{case}: {path}: expected a file ending in {', '.join(READ)}; convert it")
    return files


def _stem(path: Path) -> str:
    return _without(path.name, READ)


def _without(name: str, suffixes: tuple[str, ...]) -> str:
    longest = max((end for end in suffixes if name.lower().endswith(end)), key=len, default="")
    return name[: len(name) - len(longest)]
