"""Reads and writes 3-D volumes, and converts them to the project's canonical frame and back.

The canonical frame is (slices, rows, columns): slices from inferior to superior, rows from posterior to anterior,
columns from left to right; that is RAS (x, y, z) transposed. The conversion only flips and swaps axes, according to the
affine, so it is exactly invertible.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform

from brats_cascade.data._file import ImageError, open_file, read_file
from brats_cascade.data._image import HEAD, MAX_BYTES, Header, Image, SourceFile
from brats_cascade.data._metaimage import metaimage_header, metaimage_texts, parse_metaimage, write_metaimage
from brats_cascade.data._nifti import TEXTS, nifti_header, nifti_image, nifti_texts, parse_nifti
from brats_cascade.shared import written_whole

_METAIMAGE = (".mha", ".mhd")
_NIFTI = (".nii", ".nii.gz")
_RAS = np.array([[0, 1], [1, 1], [2, 1]])


def read_image(path: Path, *, axes: int = 3) -> Image:
    """Reads a NIfTI or MetaImage volume in its own orientation; each byte is read once.

    `axes` is 3, or 4 for a NIfTI file whose fourth axis holds modalities.

    Raises:
        ImageError: The file cannot be read, is damaged, or does not hold a volume of numbers with that many axes.
    """
    data = read_file(path, most=MAX_BYTES)
    _check_format(path, start=data, axes=axes)
    beside: tuple[SourceFile, ...] = ()
    if _has_suffix(path, _METAIMAGE):
        array, header, beside = parse_metaimage(data, path=path)
    else:
        array, header = parse_nifti(data, path=path, axes=axes)
    files = (SourceFile.of(path, data), *beside)
    return Image(array=array, affine=header.affine, path=path, files=files)


def source_files(path: Path) -> tuple[SourceFile, ...]:
    """The files that `read_image` would read, with their hashes; voxels are not decoded, except those of an .mhd file.

    Raises:
        ImageError: A file cannot be read.
    """
    data = read_file(path, most=MAX_BYTES)
    beside = parse_metaimage(data, path=path)[2] if path.suffix.lower() == ".mhd" else ()
    return (SourceFile.of(path, data), *beside)


def read_header(path: Path, *, axes: int = 3) -> tuple[Header, int]:
    """Reads a file's header, and the number of bytes of all files that `read_image` would read; the voxels are not read.

    Raises:
        ImageError: As in `read_image`, as far as the first bytes show.
    """
    with open_file(path, most=MAX_BYTES) as (file, size):
        head = file.read(HEAD)
    _check_format(path, start=head, axes=axes)
    if not _has_suffix(path, _METAIMAGE):
        return nifti_header(head, path=path, axes=axes), size
    header, beside = metaimage_header(head, path=path)
    return header, size + (beside.stat().st_size if beside else 0)


def header_texts(path: Path) -> dict[str, str]:
    """Reads the text fields of a file's header; the voxels are not read.

    Raises:
        ImageError: The file cannot be read.
    """
    with open_file(path, most=MAX_BYTES) as (file, _):
        head = file.read(HEAD)
    texts = metaimage_texts if _has_suffix(path, _METAIMAGE) else nifti_texts
    return texts(head, path=path)


def _check_format(path: Path, *, start: bytes, axes: int) -> None:
    if not start:
        raise ImageError(path, "the file is empty (0 bytes); copy or download it again")
    if _has_suffix(path, _METAIMAGE) and axes != 3:
        raise ImageError(path, f"expected a NIfTI file of {axes} axes; export it as .nii.gz")


def write_labels(
    path: Path, labels: np.ndarray, *, like: Path, axes: int = 3, note: str = "", scheme: str = ""
) -> None:
    """Writes labels atomically with the geometry of another file; no text of that file's header is copied.

    Args:
        path: .nii, .nii.gz or .mha; the format may differ from that of `like`.
        labels: Labels (x, y, z) on the grid of `like`, with the values to be written.
        like: The file whose affine and header are used. The type is uint8, as in the releases' own label files.
        axes: Number of axes of `like`, 3 or 4; the labels always have 3.
        note: Text for the field `descrip` of a NIfTI header, at most 79 characters.
        scheme: Label scheme for the field `intent_name`, at most 15 characters.

    Raises:
        UserError: `path` has another suffix, or `like` cannot be read.
        ValueError: The shapes differ.
    """
    pattern = read_image(like, axes=axes)
    if labels.shape != pattern.array.shape[:3]:
        raise ValueError(f"labels of shape {labels.shape} for {like} of shape {pattern.array.shape}")
    voxels = labels.astype(np.uint8)
    with written_whole(path) as draft:
        if _has_suffix(path, (".mha",)):
            write_metaimage(draft, voxels, affine=pattern.affine)
        elif _has_suffix(path, _NIFTI):
            image = _nifti(voxels, pattern=pattern)
            image.header["descrip"] = note
            image.header.set_intent("label", name=scheme)
            data = image.to_bytes()
            # Without name and time in the gzip header, equal labels give equal bytes.
            compressed = _has_suffix(path, (".gz",))
            draft.write_bytes(gzip.compress(data, compresslevel=6, mtime=0) if compressed else data)
        else:
            raise ImageError(path, "expected a name ending in .nii.gz, .nii or .mha; rename the output")


def to_canonical(array: np.ndarray, *, affine: np.ndarray) -> np.ndarray:
    """A view (slices, rows, columns) of a volume (x, y, z) in any orientation.

    Each axis of an oblique volume is assigned to the nearest canonical axis.
    """
    return apply_orientation(array, io_orientation(affine)).transpose(2, 1, 0)


def from_canonical(volume: np.ndarray, *, affine: np.ndarray) -> np.ndarray:
    """The exact inverse of `to_canonical`: a view (x, y, z) in the orientation of the file's affine."""
    return apply_orientation(volume.transpose(2, 1, 0), ornt_transform(_RAS, io_orientation(affine)))


def canonical_affine(affine: np.ndarray, *, shape: Sequence[int]) -> np.ndarray:
    """The affine from (column, row, slice) of the canonical frame to mm, given a file's affine and the canonical shape."""
    turns = io_orientation(affine)
    sizes = [shape[::-1][int(axis)] for axis in turns[:, 0]]
    return np.array(affine @ inv_ornt_aff(turns, sizes))


def canonical_spacing(affine: np.ndarray) -> tuple[float, float, float]:
    """The voxel spacing along slices, rows and columns, mm."""
    lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    axes = io_orientation(affine)[:, 0].astype(int)
    by_world_axis = {axis: float(length) for axis, length in zip(axes, lengths, strict=True)}
    return by_world_axis[2], by_world_axis[1], by_world_axis[0]


def _nifti(voxels: np.ndarray, *, pattern: Image) -> Any:
    if _has_suffix(pattern.path, _METAIMAGE):
        image = nibabel.Nifti1Image(voxels, pattern.affine, dtype=voxels.dtype)
        image.set_sform(pattern.affine, code="scanner")
        image.set_qform(pattern.affine, code="scanner")
        return image
    original: Any = nifti_image(pattern.path)
    header = original.header.copy()
    header.set_data_dtype(voxels.dtype)
    header.extensions.clear()
    for field in {*TEXTS} & {*header}:
        header[field] = b""
    header["cal_min"] = header["cal_max"] = 0  # an image's display window would hide the labels
    shape = voxels.shape if original.ndim == 4 and original.shape[3] > 1 else original.shape
    return type(original)(voxels.reshape(shape), None, header)


def _has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(suffixes)
