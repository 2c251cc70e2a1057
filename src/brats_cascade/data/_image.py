"""A volume as it is read from a file's bytes, and the error every unreadable file ends in; images.py is the face."""

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.errors import UserError

AGAIN = "copy or export the file again"
# Far above any brain scan (BraTS: 8.9 million), far below what would fill the memory.
MAX_VOXELS = 2**28
# ISA-L's inflate is three times as fast as Python's own, which serves where there is no wheel of it.
_library: Any = zlib
try:
    from isal import isal_zlib
except ImportError:
    pass
else:
    _library = isal_zlib
GZIP = b"\x1f\x8b"


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


class Plain:
    """Bytes that are read as they are."""

    complete = True

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, size: int) -> bytes:
        """The next bytes, at most that many."""
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece


class Inflated:
    """Gzip or zlib data; checksums are verified where a member ends."""

    def __init__(self, data: bytes, *, path: Path) -> None:
        self._stream, self._rest = _library.decompressobj(47), data  # 47: gzip or zlib, told by the first bytes
        self._path = path

    @property
    def complete(self) -> bool:
        """Whether the last member has come to its end."""
        return bool(self._stream.eof)

    def read(self, size: int) -> bytes:
        """The next bytes, at most that many."""
        pieces: list[bytes] = []
        try:
            while size > 0:
                if self._stream.eof:
                    if self._stream.unused_data[:2] != GZIP:
                        break
                    self._stream, self._rest = _library.decompressobj(47), self._stream.unused_data
                before = len(self._rest)
                piece = self._stream.decompress(self._rest, size)
                self._rest = self._stream.unconsumed_tail
                if not piece and not self._stream.eof and len(self._rest) in (0, before):
                    break
                pieces.append(piece)
                size -= len(piece)
        except (_library.error, zlib.error):
            raise ImageError(self._path, f"its compressed data is damaged; {AGAIN}") from None
        return b"".join(pieces)


def voxels_of(
    stream: Plain | Inflated,
    *,
    shape: tuple[int, ...],
    dtype: np.dtype,
    path: Path,
    start: bytes = b"",
    offset: int = 0,
    scale: tuple[float | None, float | None] = (None, None),
) -> np.ndarray:
    """Reads the rest of a file, which must hold exactly the voxels that its header declares.

    Args:
        stream: Where the bytes come from.
        shape: The voxels', first index fastest.
        dtype: Theirs in the file.
        path: For messages.
        start: What was read already.
        offset: Of the first voxel in the file, `start` included.
        scale: Slope and intercept, if the header gives them.

    Returns:
        Read-only array as `Image.array`.

    Raises:
        ImageError: There are fewer or more bytes, or the compressed data is damaged or incomplete.
    """
    size = int(np.prod(shape)) * dtype.itemsize
    body = start + stream.read(offset + size + 1 - len(start))
    promise = f"its header declares {size} bytes of voxel data {shape}"
    if len(body) < offset + size:
        raise ImageError(path, f"truncated: {promise}, found {max(0, len(body) - offset)}; {AGAIN}")
    if len(body) > offset + size:
        raise ImageError(path, f"{promise}, found more; {AGAIN}")
    if not stream.complete:
        raise ImageError(path, f"truncated: its compressed data is incomplete; {AGAIN}")
    array = np.frombuffer(body, dtype=dtype, count=size // dtype.itemsize, offset=offset).reshape(shape, order="F")
    slope, intercept = scale
    with np.errstate(over="ignore", invalid="ignore"):
        if slope is not None and scale != (1, 0):
            array = array.astype(np.float32) * np.float32(slope) + np.float32(intercept or 0)
        elif dtype.kind == "f" and dtype.itemsize != 4:
            array = array.astype(np.float32)
        elif not dtype.isnative:
            array = array.astype(dtype.newbyteorder("="))
    array.flags.writeable = False
    return array
