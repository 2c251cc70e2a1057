"""Files for other programs: label colours for ITK-SNAP and 3D Slicer, and BIDS derivatives."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from brats_cascade import __version__
from brats_cascade.data.case import Case
from brats_cascade.drawing.figures import LABEL_COLOURS
from brats_cascade.errors import UserError
from brats_cascade.labels import EDEMA, ENHANCING, LABELS, NECROSIS, NON_ENHANCING, SCHEMES
from brats_cascade.shared import write_json, write_text, written_whole

ABBREVIATIONS = {NECROSIS: "NCR", EDEMA: "ED", NON_ENHANCING: "NET", ENHANCING: "ET"}  # colours of the BraTS papers


class Label(NamedTuple):
    """A label value of a file: its meaning, and the first canonical label that it includes."""

    number: int
    name: str
    abbreviation: str
    first: int

    @property
    def colour(self) -> str:
        """The colour of the first label."""
        return LABEL_COLOURS[self.first]


def labels_of_scheme(scheme: str) -> list[Label]:
    """The tumour labels of a scheme, by value; a value that includes several labels names all of them."""
    held: dict[int, list[int]] = {}
    for label in ABBREVIATIONS:
        held.setdefault(SCHEMES[scheme].from_canonical[label], []).append(label)
    found = []
    for number, labels in sorted(held.items()):
        name, short = " and ".join(LABELS[of] for of in labels), "+".join(ABBREVIATIONS[of] for of in labels)
        found.append(Label(number, name, short, labels[0]))
    return found


def write_colours(out: Path, *, schemes: Iterable[str]) -> None:
    """Writes `labels_<scheme>.txt` for ITK-SNAP and `labels_<scheme>.ctbl` for 3D Slicer."""
    for scheme in sorted(set(schemes)):
        snap = ['    0     0    0    0        0  0  0    "Clear Label"']
        slicer = ["# Color table: number name red green blue alpha", "0 background 0 0 0 0"]
        for label in labels_of_scheme(scheme):
            red, green, blue = bytes.fromhex(label.colour[1:])
            snap.append(f'{label.number:5d} {red:5d} {green:4d} {blue:4d}        1  1  1    "{label.name}"')
            slicer.append(f"{label.number} {label.name.replace(' ', '_')} {red} {green} {blue} 255")
        for lines, ending in ((snap, "txt"), (slicer, "ctbl")):
            write_text(out / f"labels_{scheme}.{ending}", "\n".join(lines) + "\n")


def start_bids(out: Path, *, cases: Iterable[Case]) -> None:
    """Creates a folder of BIDS derivatives; refuses cases whose BIDS names (letters and digits only) would be equal."""
    taken: dict[str, str] = {}
    for case in cases:
        if _subject(case) == "sub-":
            raise UserError(f"--bids: {case.name} has no letter or digit that BIDS allows (a-z, 0-9); rename it")
        if taken.setdefault(_subject(case), case.name) != case.name:
            raise UserError(
                f"--bids: {taken[_subject(case)]} and {case.name} would both be {_subject(case)}; rename one"
            )
    made_by = [{"Name": "brats-cascade", "Version": __version__}]
    description = {"Name": "Tumour segmentations", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    write_json(out / "dataset_description.json", {**description, "GeneratedBy": made_by})


def put_bids(out: Path, *, segmentation: Path, case: Case) -> None:
    """Copies a segmentation to sub-<case>/anat/sub-<case>_dseg.nii.gz, and describes its label values in _dseg.tsv."""
    place = out / _subject(case) / "anat" / f"{_subject(case)}_dseg"
    with written_whole(place.with_suffix(".nii.gz")) as draft:
        shutil.copyfile(segmentation, draft)
    rows = ["index\tname\tabbreviation\tcolor", f"0\t{LABELS[0]}\tBG\t#000000"]
    rows += [f"{own.number}\t{own.name}\t{own.abbreviation}\t{own.colour}" for own in labels_of_scheme(case.scheme)]
    write_text(place.with_suffix(".tsv"), "\n".join(rows) + "\n")


def _subject(case: Case) -> str:
    return "sub-" + re.sub("[^0-9A-Za-z]", "", case.name)
