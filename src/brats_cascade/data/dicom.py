"""Reads DICOM: the four co-registered series of a study are converted to NIfTI and listed in a cases.csv."""

import hashlib
import json
import os
import re
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from brats_cascade import MODALITIES
from brats_cascade.data.case import Case
from brats_cascade.data.cases import Found, search
from brats_cascade.data.dicom_slices import fault, header, set_geometry, slices_of
from brats_cascade.data.names import safe_id
from brats_cascade.data.unused import walk
from brats_cascade.errors import UserError

SOURCE = "series.json"  # file beside a case's NIfTI files that lists the DICOM files of REFERENCE in slice order
REFERENCE = "t1c"
SCHEME = "merged-2023"  # DICOM defines no label values
_LOCALIZER = r"\b(localizer|localiser|loc|scout|survey)\b"
# Words for a scan without contrast agent (in German "KM"), but not what is absent or yet to come in "T1 POST W/O FS" and
# "T1 POST PRE-OP".
_NO_AGENT = (
    r"\b(no|non|without|ohne)\b(?! ?(fs|fat|sat))|(?<![a-z])w ?/? ?o\b(?! ?(fs|fat|sat))|\bpre\b(?! ?(op|rt|surg|treat|sat))"
    r"|\b(pre|non)(contrast|gad\w*|gd|km|enhanced)|\b(before|native?|unenhanced)\b"
)
_MINUS_C = r"(?<=\s)-c\b|(?<![a-z0-9])c-(?!\S)"  # "T1 C-" and "T1 -C", but not "T1-C"
_POST = r"post(?!er| ?(op|rt|surg|treat))"  # after contrast agent, not posterior or after surgery
_AGENT = rf"{_POST}|contrast|gad|\b(ce|gd|km)\b"
# The first that matches the folder's name or the series description. FLAIR comes first because it is also called T2 FLAIR;
# T1 FLAIR is a T1.
_PATTERNS = {
    "flair": r"^(?!.*\bt1w?( (?!t2)\w+)? ?flair).*(\b(t2 ?)?flair|\bt2f\b)",
    "t1c": rf"^(?!.*({_NO_AGENT})).*(\bt1w? ?(c|ce|gd|km)\b|\bt1.*({_AGENT}|\+ ?c|\bc ?\+)|({_AGENT}).*\bt1)",
    "t1": r"\bt1",
    "t2": r"\bt2",
}


class Series(NamedTuple):
    """One series: its folder, its modality ("" if unknown), its description, and its files in slice order."""

    folder: Path
    modality: str
    description: str
    files: tuple[str, ...]


def search_any(folder: Path, *, out: Path) -> Found:
    """Runs `cases.search`; if it finds no case but DICOM files, converts their studies to NIfTI below `out` and searches there.

    Raises:
        UserError: As in `search`; or no study can be read. A study that cannot, lacks a modality or has one twice is
            otherwise a case with the reason in `problems`.
    """
    try:
        return search(folder)
    except UserError:
        files = [path for path in walk(folder, closed=lambda error: None) if _is_dicom(path)]
        if not files:
            raise
    place = out / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]
    shutil.rmtree(place, ignore_errors=True)
    studies = _studies(folder.resolve(), places=sorted({path.parent for path in files}))
    if not studies:
        raise UserError(f"{files[0].parent}: its DICOM files hold no series that can be read; export them again")
    rows, refused = [], []
    for name, series in studies.items():
        try:
            rows.append(_convert(name, series=series, out=place))
        except UserError as error:
            shutil.rmtree(place / name)
            refused.append(
                _refused(name, folder=place / name, reason=str(error), unused=_unused(files, studies=studies))
            )
    if not rows:
        raise UserError(refused[0].problems[0])
    (place / "cases.json").write_text(json.dumps(rows), encoding="utf-8")
    found = search(place)
    return replace(found, cases=[*found.cases, *refused])


def modality_of(text: str, *, agent: bool = False) -> str:
    """The modality named by a series' folder or description, or ""; `agent` tells whether contrast agent was given."""
    plain = re.sub(r"[_\-.]+", " ", re.sub(_MINUS_C, " non ", text.lower()))
    if re.search(_LOCALIZER, plain):
        return ""
    found = next((modality for modality, pattern in _PATTERNS.items() if re.search(pattern, plain)), "")
    return "t1c" if found == "t1" and agent else found


def _studies(folder: Path, *, places: list[Path]) -> dict[str, list[Series]]:
    """Case name -> its series. A case is a study, named after the folder that holds all its files."""
    import SimpleITK

    SimpleITK.ProcessObject.GlobalWarningDisplayOff()  # repeats what `fault` finds, and counts folders without images
    studies: dict[str, list[Series]] = defaultdict(list)
    for place in places:
        reader = SimpleITK.ImageSeriesReader
        series_files = [
            reader.GetGDCMSeriesFileNames(str(place.resolve()), uid) for uid in reader.GetGDCMSeriesIDs(str(place))
        ]
        scans = [(head, files) for files in series_files if (head := header(files[0]))["modality"] != "SEG"]
        for head, files in scans:
            named = modality_of(place.name) if len(scans) == 1 else ""
            modality = named or modality_of(head["description"], agent=bool(head["agent"]))
            studies[head["study"]].append(Series(place, modality, head["description"], files))
    cases: dict[str, list[Series]] = {}
    for series in studies.values():
        common = Path(os.path.commonpath([one.folder.resolve() for one in series]))
        name = safe_id("_".join(common.relative_to(folder).parts) or folder.name)
        cases[f"{name}_{len(cases)}" if name in cases else name] = series
    return cases


def _convert(name: str, *, series: list[Series], out: Path) -> dict[str, str]:
    """Converts a case's series to NIfTI and returns its row of the listing."""
    (out / name).mkdir(parents=True)
    row = {"case": name, "labels": SCHEME}
    counts = {}
    for modality in MODALITIES:
        fitting = [one for one in series if one.modality == modality]
        if len(fitting) != 1:
            seen = "; ".join(f"{one.folder.name} ({one.description or 'no description'})" for one in fitting or series)
            raise UserError(
                f"{name}: expected one DICOM series of {modality}, found {len(fitting)}: {seen}; put each series into a folder "
                f"of its own, called {', '.join(MODALITIES)}, and remove the others"
            )
        [one] = fitting
        row[modality] = f"{name}/{modality}.nii.gz"
        counts[modality] = _write(
            one, path=out / row[modality], title=f"{name}: the series of {modality} in {one.folder}"
        )
        if modality == REFERENCE:
            (out / name / SOURCE).write_text(json.dumps(one.files), encoding="utf-8")
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{modality} {count}" for modality, count in counts.items())
        raise UserError(
            f"{name}: expected as many slices in all four series, found {found}; export the missing slices, or resample the "
            "series to one grid"
        )
    return row


def _write(series: Series, *, path: Path, title: str) -> int:
    """Converts a series to NIfTI and returns the number of its slices."""
    import SimpleITK

    slices = slices_of(series.files)
    reason = fault(slices)
    if not reason:
        try:
            # Of a list of one file SimpleITK would make a series, with an axis more than the file has.
            image = SimpleITK.ReadImage(series.files if len(series.files) > 1 else series.files[0])
            set_geometry(image, slices=slices)
            SimpleITK.WriteImage(image, str(path))
        except RuntimeError as error:
            reason = f"it cannot be read ({str(error).strip().splitlines()[-1].strip()}); export it again"
    if reason:
        raise UserError(f"{title}: {reason}")
    return len(slices)


def _unused(files: list[Path], *, studies: dict[str, list[Series]]) -> list[Path]:
    """The DICOM files that belong to no series."""
    used = {file for study in studies.values() for series in study for file in series.files}
    return [path for path in files if str(path.parent.resolve() / path.name) not in used and path.name != "DICOMDIR"]


def _refused(name: str, *, folder: Path, reason: str, unused: list[Path]) -> Case:
    """A case that cannot be read; the reason may be a file that is not used."""
    if unused:
        others = f" and {len(unused) - 1} more" if unused[1:] else ""
        reason = f"{reason}; DICOM files that are no readable scan: {unused[0]}{others}"
    return Case(name, name, "unknown", "list", SCHEME, folder, images={}, truth=None, problems=(reason,))


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
