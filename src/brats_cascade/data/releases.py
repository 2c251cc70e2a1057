"""Describes the supported releases; to add one, add an entry to RELEASES."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from brats_cascade import MODALITIES, PHANTOM

# Key for a file that holds all four modalities along its fourth axis.
ALL_FOUR = "all four"
# Names of folders, in any case, and parts of case names that state the grade.
GRADE_FOLDERS = {"HGG": "high", "HG": "high", "LGG": "low", "LG": "low"}


def _files_named(joint: str, *names: str) -> dict[str, str]:
    """Modality or "truth" -> path, for releases in which a file is named after the case and its modality."""
    return {part: f"{{case}}{joint}{name}" for part, name in zip((*MODALITIES, "truth"), names, strict=True)}


def _files_of_vsd(start: str, *, ending: str = "") -> dict[str, str]:
    """Modality or "truth" -> path, for releases in which every volume has its own folder, such as VSD.Brain.XX.O.MR_T1c."""
    names = {"flair": "MR_Flair", "t1": "MR_T1", "t1c": "MR_T1c", "t2": "MR_T2", "truth": "OT"}
    return {part: f"{start}.{name}{ending}/*" for part, name in names.items()}


@dataclass(frozen=True)
class Release:
    """The layout and file names of one release.

    Attributes:
        name: Key of RELEASES and value of `data.layout`.
        layout: The layout in readable form, for messages.
        scheme: Key of labels.SCHEMES.
        files: Modality, ALL_FOUR or "truth" -> path below the case's folder without suffix. `{case}` is the name of the
            case's folder, `*` any run of characters except "/". All paths have the same depth.
        suffixes: Allowed suffixes, the usual one first.
        also: Key of `files` -> another path at which some cases of the release have that file.
        case: Pattern for the name of a case's folder.
        patient: Pattern for the whole case name; its first group is the patient. If it does not match, the case is a
            patient of its own.
        numbered_anew: Whether numbering restarts in each group of cases, as in BRATS 2013; case names then include the
            group.
        grade: Pattern for the start of the case name; its first group is a key of GRADE_FOLDERS. "" if names do not state
            the grade.
        own_folder: False if the cases share one folder; `{case}` is then the case's name within `files`.
    """

    name: str
    layout: str
    scheme: str
    files: Mapping[str, str]
    suffixes: tuple[str, ...]
    also: Mapping[str, str] = field(default_factory=dict)
    case: str = r"[^/]+"
    patient: str = r"(.+)"
    numbered_anew: bool = False
    grade: str = ""
    own_folder: bool = True

    @property
    def depth(self) -> int:
        """Number of levels at which a file lies below its case's folder; 1 is directly inside."""
        return next(iter(self.files.values())).count("/") + 1

    @cached_property
    def patterns(self) -> Mapping[str, re.Pattern[str]]:
        """Key of `files` -> pattern of the path, starting with the case's folder."""
        ending = "(?:" + "|".join(re.escape(suffix) for suffix in self.suffixes) + ")"
        name = f"(?P<case>{self.case})"
        patterns = {}
        for part, path in self.files.items():
            # For a case that shares its folder, {case} is the case's name; for others it is the folder's name.
            regex = f"{name}/{_as_regex(path)}" if self.own_folder else f"[^/]+/{_as_regex(path, case=name)}"
            if part in self.also:
                regex = f"(?:{regex}|[^/]+/{_as_regex(self.also[part])})"
            patterns[part] = re.compile(f"{regex}{ending}", re.IGNORECASE)
        return patterns

    def part_of(self, path: Path) -> str | None:
        """The key of `files` that a path belongs to, or None if it is not part of this release."""
        tail = "/".join(path.parts[-self.depth - 1 :])
        return next((part for part, pattern in self.patterns.items() if pattern.fullmatch(tail)), None)

    def stem_of(self, path: Path) -> str:
        """The value of `{case}` in the path of one of this release's files."""
        if self.own_folder:
            return path.parents[self.depth - 1].name
        suffix = next(end for end in self.suffixes if path.name.lower().endswith(end))
        return path.name[: -len(suffix)]

    def expected(self, part: str, *, stem: str) -> str:
        """The expected path of a modality or the ground truth, below the case's folder."""
        return self.files[part].replace("{case}", stem) + self.suffixes[0]

    def name_of(self, folder: Path) -> str:
        """The name of the case in a folder, such as HG_0001, or simulated_HG_0001 if numbering restarts in each group."""
        if not self.numbered_anew:
            return folder.name
        group = [folder.parent.name] if folder.parent.name.upper() in GRADE_FOLDERS else []
        simulated = ["simulated"] if "Synthetic_Data" in folder.parts else []
        return "_".join([*simulated, *group, folder.name])

    def grade_of(self, name: str) -> str:
        """The grade stated in a case's name, or "unknown"."""
        match = re.match(self.grade, name, re.IGNORECASE) if self.grade else None
        return GRADE_FOLDERS[match.group(1).upper()] if match else "unknown"

    def patient_of(self, name: str) -> str:
        """The patient of a case: the case's name without its time point."""
        match = re.fullmatch(self.patient, name, re.IGNORECASE)
        return match.group(1) if match else name


def without_year(patient: str) -> str:
    """A patient's name without the year: BraTS 2017 to 2019 changed only the year in the names of their common patients."""
    return re.sub("^BraTS1[789]_", "", patient, flags=re.IGNORECASE)


def _as_regex(path: str, *, case: str = "(?P=case)") -> str:
    pieces = re.split(r"(\{case\}|\*)", path)
    return "".join({"{case}": case, "*": "[^/]*"}.get(piece, re.escape(piece)) for piece in pieces)


_NIFTI = (".nii.gz", ".nii")
_BRATS17_FILES = _files_named("_", "flair", "t1", "t1ce", "t2", "seg")

# A file belongs to the first release whose pattern it matches, so specific releases come before general ones.
RELEASES: Mapping[str, Release] = {
    release.name: release
    for release in (
        Release(
            name="brats2012",
            layout="BRATS_HG0001/BRATS_HG0001_{FLAIR,T1,T1C,T2,truth}.mha",
            scheme="edema-core",
            files=_files_named("_", "FLAIR", "T1", "T1C", "T2", "truth"),
            suffixes=(".mha",),
            case=r"(?:Sim)?BRATS_[HL]G\d+",
            grade=r"(?:Sim)?BRATS_([HL]G)",
        ),
        # The layout of BRATS 2013; "Phantom" in the file names marks synthetic patients.
        Release(
            name=PHANTOM,
            layout="Image_Data/{HG,LG}/0001/VSD.Phantom.XX.O.MR_{Flair,T1,T1c,T2}/*.mha",
            scheme="five",
            files=_files_of_vsd("VSD.Phantom*"),
            suffixes=(".mha",),
            numbered_anew=True,
        ),
        Release(
            name="brats2013",
            layout="{Image_Data,Synthetic_Data}/{HG,LG}/0001/VSD.Brain.XX.O.MR_{Flair,T1,T1c,T2}/*.mha",
            scheme="five",
            files=_files_of_vsd("VSD.*"),
            suffixes=(".mha",),
            numbered_anew=True,
        ),
        Release(
            name="brats2015",
            layout="{HGG,LGG}/brats_X/VSD.Brain.XX.O.MR_{Flair,T1,T1c,T2}.N/*.mha",
            scheme="five",
            files=_files_of_vsd("VSD.*", ending=".*"),
            suffixes=(".mha",),
            patient=r"(brats_.+_pat\d+)_\d+",
        ),
        Release(
            name="brats2021",
            layout="BraTS2021_X/BraTS2021_X_{flair,t1,t1ce,t2,seg}.nii.gz",
            scheme="merged",
            files=_BRATS17_FILES,
            suffixes=_NIFTI,
            case=r"BraTS2021_\d+",
        ),
        Release(
            name="brats2023",
            layout="BraTS-GLI-X-T/BraTS-GLI-X-T-{t2f,t1n,t1c,t2w,seg}.nii.gz",
            scheme="merged-2023",
            files=_files_named("-", "t2f", "t1n", "t1c", "t2w", "seg"),
            suffixes=_NIFTI,
            patient=r"(BraTS-[A-Z]+-\d+)-\d+",
        ),
        Release(
            name="decathlon",
            layout="imagesT{r,s}/BRATS_001.nii.gz of four axes, labelsTr/BRATS_001.nii.gz, dataset.json",
            scheme="decathlon",
            files={ALL_FOUR: "imagesT*/{case}", "truth": "labelsT*/{case}"},
            suffixes=_NIFTI,
            case=r"BRATS_\d+",
            own_folder=False,
        ),
        # In BraTS 2020, names end in the patient's number, not in a time point. The ground truth of its case 355 was
        # published under an internal name, W39_1998.09.19_Segm.nii.
        Release(
            name="brats2017",
            layout="{HGG,LGG}/X/X_{flair,t1,t1ce,t2,seg}.nii.gz",
            scheme="merged",
            files=_BRATS17_FILES,
            suffixes=_NIFTI,
            also={"truth": "*_Segm"},
            patient=r"(BraTS1[789]_.+)_\d+",
        ),
    )
}


def patient_named(case: str) -> str:
    """The patient of a case of an unknown release: the name without its time point, if a release names its cases like this."""
    found = (release.patient_of(case) for release in RELEASES.values())
    return next((patient for patient in found if patient != case), case)
