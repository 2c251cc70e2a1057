"""Reads DICOM: the four co-registered series of a study are converted to NIfTI and listed in a cases.csv."""

import hashlib
import json
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.cases import Found, search
from brats_cascade.data.names import safe_id
from brats_cascade.data.unused import walk
from brats_cascade.errors import UserError

SOURCE = "series.json"  # file beside a case's NIfTI files that lists the DICOM files of REFERENCE in slice order
REFERENCE = "t1c"
SCHEME = "merged-2023"  # DICOM defines no label values
TAGS = {"study": "0020|000d", "description": "0008|103e", "agent": "0018|0010", "position": "0020|0032"}
UNEVEN = "ITK_non_uniform_sampling_deviation"  # set for the least rounding, without a value that can be read
MAX_UNEVEN = 0.1  # mm
# The first that matches the folder's name or the series description. FLAIR comes first because it is also called T2 FLAIR.
_PATTERNS = {
    "flair": r"\b(t2 ?)?flair|\bt2f\b",
    "t1c": r"^(?!.*\b(pre|non|without)\b).*(\bt1 ?(c|ce|gd|km)\b|\bt1.*(post|contrast|gad|\+ ?c)|(post|contrast|gad).*\bt1)",
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
        UserError: As in `search`; or a study lacks a modality, has one twice, or cannot be read.
    """
    try:
        return search(folder)
    except UserError:
        places = sorted({path.parent for path in walk(folder, closed=lambda error: None) if _is_dicom(path)})
        if not places:
            raise
    place = out / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]
    shutil.rmtree(place, ignore_errors=True)
    studies = _studies(folder.resolve(), places=places)
    if not studies:
        raise UserError(f"{places[0]}: its DICOM files hold no series that can be read; export them again")
    rows = [_convert(name, series=series, out=place) for name, series in studies.items()]
    (place / "cases.json").write_text(json.dumps(rows), encoding="utf-8")
    return search(place)


def modality_of(text: str, *, agent: bool = False) -> str:
    """The modality named by a series' folder or description, or ""; `agent` tells whether contrast agent was given."""
    plain = re.sub(r"[_\-.]+", " ", text.lower())
    found = next((modality for modality, pattern in _PATTERNS.items() if re.search(pattern, plain)), "")
    return "t1c" if found == "t1" and agent else found


def _studies(folder: Path, *, places: list[Path]) -> dict[str, list[Series]]:
    """Case name -> its series. A case is a study, named after the folder that holds all its files."""
    import SimpleITK

    studies: dict[str, list[Series]] = defaultdict(list)
    for place in places:
        uids = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(place))
        for uid in uids:
            files = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(place.resolve()), uid)
            head = _header(files[0])
            named = modality_of(place.name) if len(uids) == 1 else ""
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
    import SimpleITK

    (out / name).mkdir(parents=True)
    row = {"case": name, "labels": SCHEME}
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
        try:
            image = SimpleITK.ReadImage(one.files)
            SimpleITK.WriteImage(image, str(out / row[modality]))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(f"{one.folder}: the series cannot be read ({reason}); export it again") from None
        if image.HasMetaDataKey(UNEVEN) and _unevenness(one.files) > MAX_UNEVEN:
            raise UserError(
                f"{one.folder}: its {len(one.files)} slices are not evenly spaced; export it again with all slices"
            )
        if modality == REFERENCE:
            (out / name / SOURCE).write_text(json.dumps(one.files), encoding="utf-8")
    return row


def _unevenness(files: Sequence[str]) -> float:
    """The largest difference between the distances of neighbouring slices, mm."""
    positions = [_header(file)["position"].split("\\") for file in files]
    if any(len(position) != 3 for position in positions):
        raise UserError(f"{Path(files[0]).parent}: a slice of the series has no position; export it again")
    places = [[float(number) for number in position] for position in positions]
    return float(np.ptp(np.linalg.norm(np.diff(places, axis=0), axis=1)))


def _header(path: str) -> dict[str, str]:
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise UserError(f"{path}: a DICOM file that cannot be read; copy or export its series again") from None
    return {name: reader.GetMetaData(tag).strip() if reader.HasMetaDataKey(tag) else "" for name, tag in TAGS.items()}


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
