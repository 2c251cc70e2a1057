"""Damages sound cases in every way that users' files come damaged; test_bad_inputs.py runs it, docs/ shows it."""

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from layouts import tiny_volumes, write_layout

Damage = Callable[[Path], None]


def nifti(folder: Path, part: str) -> Path:
    """The file of a case in BraTS 2017's layout."""
    return folder / f"{folder.name}_{part}.nii.gz"


def mha(folder: Path, part: str) -> Path:
    """The file of a case in BRATS 2012's layout."""
    return folder / f"{folder.name}_{part}.mha"


def voxels(part: str, edit: Callable[[np.ndarray], np.ndarray]) -> Damage:
    """Rewrites one NIfTI file with other voxels."""

    def damage(folder: Path) -> None:
        image = nibabel.load(nifti(folder, part))
        changed = edit(np.asarray(image.dataobj).copy())
        nibabel.Nifti1Image(changed, image.affine).to_filename(nifti(folder, part))

    return damage


def content(part: str, edit: Callable[[bytes], bytes], *, path: Callable[[Path, str], Path] = nifti) -> Damage:
    """Rewrites the bytes of one file."""

    def damage(folder: Path) -> None:
        file = path(folder, part)
        file.write_bytes(edit(file.read_bytes()))

    return damage


def inside(part: str, edit: Callable[[bytes], bytes]) -> Damage:
    """Rewrites the bytes of one NIfTI file below its gzip layer."""
    return content(part, lambda data: gzip.compress(edit(gzip.decompress(data)), mtime=0))


def put(value: float, kind: str) -> Callable[[np.ndarray], np.ndarray]:
    """Sets one voxel of the brain."""

    def edit(array: np.ndarray) -> np.ndarray:
        array = array.astype(kind)
        array[5, 6, 5] = value
        return array

    return edit


def splice(data: bytes, at: int, new: bytes) -> bytes:
    """Replaces bytes at a place."""
    return data[:at] + new + data[at + len(new) :]


def no_truth(folder: Path) -> None:
    nifti(folder, "seg").unlink()


def no_modality(folder: Path) -> None:
    nifti(folder, "t1ce").unlink()


def two_files(folder: Path) -> None:
    (folder / f"{folder.name}_t2.nii").write_bytes(gzip.decompress(nifti(folder, "t2").read_bytes()))


def loop(folder: Path) -> None:
    """A file that is a link to itself."""
    nifti(folder, "t1").unlink()
    nifti(folder, "t1").symlink_to(nifti(folder, "t1").name)


def dangling(folder: Path) -> None:
    """A link to nothing, as DVC leaves when the cache is gone."""
    nifti(folder, "t1").unlink()
    nifti(folder, "t1").symlink_to("gone.nii.gz")


def is_folder(folder: Path) -> None:
    """A folder in a file's place is no file of the case."""
    nifti(folder, "t1").unlink()
    nifti(folder, "t1").mkdir()


def pipe(folder: Path) -> None:
    """A reader would wait for a writer."""
    nifti(folder, "t1").unlink()
    os.mkfifo(nifti(folder, "t1"))


def device(folder: Path) -> None:
    """A reader would never come to the end."""
    nifti(folder, "t1").unlink()
    nifti(folder, "t1").symlink_to("/dev/zero")


def four_axes_mha(folder: Path) -> None:
    volume = SimpleITK.ReadImage(str(mha(folder, "T1C")))
    SimpleITK.WriteImage(SimpleITK.JoinSeries([volume, volume]), str(mha(folder, "T1C")))


def shifted(folder: Path) -> None:
    image = nibabel.load(nifti(folder, "t2"))
    affine = image.affine.copy()
    affine[1, 3] += 5
    nibabel.Nifti1Image(np.asarray(image.dataobj), affine).to_filename(nifti(folder, "t2"))


def every_modality(edit: Callable[[np.ndarray], np.ndarray]) -> Damage:
    """Rewrites all four modalities."""

    def damage(folder: Path) -> None:
        for part in ("flair", "t1", "t1ce", "t2"):
            voxels(part, edit)(folder)

    return damage


def spaced(factor: float) -> Damage:
    """Gives every file another spacing."""

    def damage(folder: Path) -> None:
        for path in folder.glob("*.nii.gz"):
            image = nibabel.load(path)
            affine = image.affine @ np.diag([factor] * 3 + [1])
            nibabel.Nifti1Image(np.asarray(image.dataobj), affine).to_filename(path)

    return damage


# What is wrong, in words -> layout of the sound case, and the damage done to its folder.
BAD: dict[str, tuple[str, Damage]] = {
    "gzip cut in the middle": ("brats2017", content("t1", lambda data: data[: len(data) // 2])),
    "gzip cut at its end": ("brats2017", content("t1", lambda data: data[:-8])),
    "gzip with a wrong checksum": ("brats2017", content("t1", lambda data: splice(data, len(data) - 8, b"1234"))),
    "gzip of another kind of file": ("brats2017", content("t1", lambda data: gzip.compress(b"text" * 200, mtime=0))),
    "a web page saved as .nii.gz": ("brats2017", content("t1", lambda data: b"<html>not found</html>")),
    ".mha cut in the middle": ("brats2012", content("T1", lambda data: data[: len(data) - 700], path=mha)),
    ".mha with damaged compressed voxels": (
        "brats2012",
        content("T1", lambda data: splice(data, len(data) - 4, b"1234"), path=mha),
    ),
    ".mha with other content": ("brats2012", content("T1", lambda data: b"junk" * 300, path=mha)),
    ".mha whose header has another shape than its voxels": (
        "brats2012",
        content("T1", lambda data: data.replace(b"DimSize = 12 14 10", b"DimSize = 12 14 19"), path=mha),
    ),
    "wrong magic": ("brats2017", inside("t1", lambda data: splice(data, 344, b"xxx\0"))),
    "a file of 0 bytes": ("brats2017", content("t1", lambda data: b"")),
    "header shape larger than the data": ("brats2017", inside("t1", lambda data: splice(data, 42, b"\x0d\0"))),
    "header shape smaller than the data": ("brats2017", inside("t1", lambda data: splice(data, 42, b"\x0b\0"))),
    "impossible header shape": ("brats2017", inside("t1", lambda data: splice(data, 42, b"\xff\x7f" * 3))),
    "singular affine": ("brats2017", inside("t1", lambda data: splice(data, 280, bytes(48)))),
    "NaN": ("brats2017", voxels("t1", put(np.nan, "float32"))),
    "Inf": ("brats2017", voxels("t1ce", put(np.inf, "float32"))),
    "a modality of zeros": ("brats2017", voxels("t2", np.zeros_like)),
    "all modalities of zeros": ("brats2017", every_modality(np.zeros_like)),
    "a constant modality": ("brats2017", voxels("t2", lambda array: np.where(array > 0, 77, 0).astype("int16"))),
    "intensities beyond any scanner": ("brats2017", voxels("t2", lambda array: array.astype("float32") * 1e6)),
    "background that is not 0": ("brats2017", every_modality(lambda array: array + 1000)),
    "a modality of another shape": ("brats2017", voxels("t2", lambda array: array[:-1])),
    "a modality shifted against the others": ("brats2017", shifted),
    "four axes instead of three": ("brats2017", voxels("t1ce", lambda array: np.stack([array] * 2, axis=-1))),
    "four axes in an .mha": ("brats2012", four_axes_mha),
    "impossible spacing": ("brats2017", spaced(25.0)),
    "unknown label": ("brats2017", voxels("seg", put(7, "int16"))),
    "a label of another release": ("brats2017", voxels("seg", put(3, "int16"))),
    "negative label": ("brats2017", voxels("seg", put(-1, "int16"))),
    "fractional label": ("brats2017", voxels("seg", put(1.5, "float32"))),
    "a ground truth of 2012 numbered as in 2013": ("brats2012", lambda folder: _relabel(folder)),
    "ground truth of another shape": ("brats2017", voxels("seg", lambda array: array[..., :-1])),
    "no ground truth": ("brats2017", no_truth),
    "a modality is missing": ("brats2017", no_modality),
    "two files for one modality": ("brats2017", two_files),
    "a link to itself": ("brats2017", loop),
    "a dangling link": ("brats2017", dangling),
    "a folder in a file's place": ("brats2017", is_folder),
    ".mha whose header has a key twice": (
        "brats2012",
        content("T1", lambda data: data.replace(b"ElementType", b"NDims = 4\nElementType"), path=mha),
    ),
    "a named pipe": ("brats2017", pipe),
    "a link to a device": ("brats2017", device),
    "a small file that declares gigabytes": (
        "brats2017",
        inside("flair", lambda data: splice(data, 42, struct.pack("<3h", *[600] * 3))),
    ),
    "thousands of empty gzip members": ("brats2017", content("t1", lambda data: data + gzip.compress(b"") * 2000)),
}


def _relabel(folder: Path) -> None:
    image = SimpleITK.ReadImage(str(mha(folder, "truth")))
    array = SimpleITK.GetArrayFromImage(image)
    array[5, 6, 5:7] = (3, 4)
    changed = SimpleITK.GetImageFromArray(array)
    changed.CopyInformation(image)
    SimpleITK.WriteImage(changed, str(mha(folder, "truth")))


def write_cohort(root: Path) -> dict[str, str]:
    """Writes one sound case and one of each damage; returns damage -> name of its case."""
    names = {}
    for number, (what, (layout, damage)) in enumerate(BAD.items(), start=1):
        old = "BRATS_HG0001" if layout == "brats2012" else "Brats18_ABC_1"
        new = f"BRATS_HG{number:04}" if layout == "brats2012" else f"Brats18_Bad {number:02} é_1"
        images, labels = tiny_volumes(seed=number)
        place = root / f"{number:02}"
        write_layout(place, layout, images=images, labels=labels)
        for path in sorted(place.rglob("*"), reverse=True):
            path.rename(path.with_name(path.name.replace(old, new)))
        (folder,) = place.rglob(new)
        damage(folder)
        names[what] = new
    images, labels = tiny_volumes(seed=99)
    write_layout(root / "good", "brats2017", images=images, labels=labels)
    (root / "loop").symlink_to(root)  # a folder that contains itself
    return names
