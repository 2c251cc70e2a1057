"""brats-cascade fuse: combines several segmentations of a case by SimpleITK's multi-label STAPLE or a majority vote."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK

from brats_cascade.data.images import from_canonical, header_texts, read_image, write_labels
from brats_cascade.data.writeback import read_scheme
from brats_cascade.errors import UserError
from brats_cascade.evaluation.label_files import list_label_files
from brats_cascade.evaluation.score_files import check_place, read_labels
from brats_cascade.labels import SCHEMES, recode

UNDECIDED = 255
NOTE = "brats-cascade fuse"  # prefix of `descrip`; files with it may be overwritten
METHODS: Mapping[str, Callable[..., SimpleITK.Image]] = {
    "staple": SimpleITK.MultiLabelSTAPLE,
    "majority": SimpleITK.LabelVoting,
}


def run(folders: Sequence[Path], *, out: Path, method: str, scheme: str) -> int:
    """Fuses every case that is in all folders, prints one line per case, and returns the number of failed cases.

    Files are matched by case as in `evaluate`; `scheme` is the key of labels.SCHEMES for files that name none, or "".
    """
    for option, value, known in (("--method", method, METHODS), ("--scheme", scheme, {"": "", **SCHEMES})):
        if value not in known:
            raise UserError(f"{option}: expected one of {', '.join(filter(None, known))}, got {value!r}")
    if len(folders) < 2 or len({folder.resolve() for folder in (*folders, out)}) <= len(folders):
        raise UserError("fuse: expected two or more different folders, and another one for --out")
    listed = [list_label_files(folder) for folder in folders]
    sets = [files.found for files in listed]
    for folder, found in zip(folders, sets, strict=True):
        if not found:
            raise UserError(
                f"{folder}: no folder of segmentations; expected .nii.gz, .nii or .mha files named after their case"
            )
    unusable = {name: reason for files in listed for name, reason in files.unusable.items()}
    left = [reason for name, reason in sorted(unusable.items()) if not any(name in found for found in sets)]
    for reason in left:
        print(f"not fused: {reason}", file=sys.stderr)
    failed = len(left)
    for case in sorted(set().union(*sets)):
        files = [file.path for found in sets for file in found.get(case, ())]
        try:
            if [len(found.get(case, ())) for found in sets] != [1] * len(sets):
                raise UserError(f"{case}: expected one file in each folder, found {', '.join(map(str, files))}")
            print(_fuse_case(files, path=out / f"{case}_seg.nii.gz", method=method, scheme=scheme))
        except UserError as error:
            failed += 1
            print(f"not fused: {error}", file=sys.stderr)
    return failed


def fuse_labels(raters: Sequence[np.ndarray], *, method: str) -> tuple[np.ndarray, int]:
    """Fuses label volumes (uint8, the same shape); returns the result and the number of voxels that the method left undecided.

    Undecided voxels get the most frequent label; ties go to the first rater that has one of them.
    """
    voted = METHODS[method]([SimpleITK.GetImageFromArray(rater) for rater in raters], UNDECIDED)
    fused = SimpleITK.GetArrayFromImage(voted).astype(np.uint8)
    tied = fused == UNDECIDED
    votes = np.stack([rater[tied] for rater in raters])
    support = (votes[:, None] == votes).sum(axis=0)  # number of raters that agree with each rater
    fused[tied] = np.take_along_axis(votes, support.argmax(axis=0)[None], axis=0)[0]
    return fused, int(tied.sum())


def _fuse_case(files: Sequence[Path], *, path: Path, method: str, scheme: str) -> str:
    if path.exists() and not header_texts(path).get("descrip", "").startswith(NOTE):
        raise UserError(f"{path}: was not written by fuse, so it is not overwritten; move it or choose another --out")
    schemes = [read_scheme(file) or scheme for file in files]
    if not all(schemes):
        raise UserError(f"{files[schemes.index('')]}: does not name its label scheme; give it with --scheme")
    raters, places = zip(
        *(read_labels(file, scheme=own) for file, own in zip(files, schemes, strict=True)), strict=True
    )
    for file, place in zip(files, places, strict=True):
        check_place(place, expected=places[0], path=file)
    # Raters that tell more labels apart than the first one agree with it where their labels are one in its scheme.
    own = SCHEMES[schemes[0]].from_canonical
    fused, undecided = fuse_labels([recode(labels, table=own) for labels in raters], method=method)
    labels = from_canonical(fused, affine=read_image(files[0]).affine)
    note = f"{NOTE}, {method} of {len(files)}"
    write_labels(path, labels, like=files[0], note=note, scheme=schemes[0])
    tumour = int(np.any(raters, axis=0).sum())
    return f"{path}: {undecided} voxels undecided by {method}, {tumour} labelled tumour by any of {len(files)}"
