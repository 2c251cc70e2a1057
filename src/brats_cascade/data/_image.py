"""A volume as it was read, and the error every unreadable file ends in; images.py is the face."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brats_cascade.errors import UserError

AGAIN = "copy or export the file again"
# Far above any brain scan (BraTS: 8.9 million), far below what would fill the memory.
MAX_VOXELS = 2**28


class ImageError(UserError):
    """A file that is no readable volume: names the file, what was expected, what was received, what to do."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")


@dataclass(frozen=True)
class SourceFile:
    """One file that a volume was read from, by its size and the hash of its bytes."""

    path: Path
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path, data: bytes) -> "SourceFile":
        """Describes a file by the bytes that were read from it."""
        return cls(path, len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class Image:
    """A 3-D volume in the order and orientation of its file.

    Attributes:
        array: Voxels (x, y, z), or (x, y, z, modalities) where that was asked for; read-only, of the file's own type in
            the machine's byte order; float32 where the file holds wider floats or a scale factor.
        affine: 4x4, voxel indices -> mm, RAS (x to the right, y to the front, z up).
        path: The file.
        dtype: The type in the file.
        files: Every file that the volume consists of, `path` first: an .mhd has its voxels in a second one.
    """

    array: np.ndarray
    affine: np.ndarray
    path: Path
    dtype: np.dtype
    files: tuple[SourceFile, ...]


def checked_shape(shape: tuple[int, ...], *, path: Path, axes: int = 3) -> tuple[int, ...]:
    """The shape without trailing ones, which has `axes` numbers: 3, or 4 for a file of several modalities.

    Raises:
        ImageError: Another number of axes, or an impossible size.
    """
    while len(shape) > axes and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != axes:
        cure = "store each modality in its own file" if axes == 3 else "store the four modalities along a fourth axis"
        raise ImageError(path, f"expected a {axes}-D volume, found shape {shape}; {cure}")
    if min(shape) < 1 or int(np.prod(shape, dtype=np.float64)) > MAX_VOXELS:
        raise ImageError(path, f"the header declares the impossible shape {shape}; {AGAIN}")
    return shape


def checked_affine(affine: np.ndarray, *, path: Path) -> np.ndarray:
    """The 4x4 affine as float64.

    Raises:
        ImageError: It does not map voxels to places.
    """
    affine = np.asarray(affine, dtype=np.float64)
    with np.errstate(all="ignore"):
        lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        sound = np.isfinite(affine).all() and (lengths > 1e-6).all() and (lengths < 1e6).all()
        sound = sound and abs(np.linalg.det(affine[:3, :3] / lengths)) > 1e-3
    if not sound:
        rows = np.round(affine[:3], 3).tolist()
        raise ImageError(path, f"its affine {rows} is singular; export the file again")
    return affine
