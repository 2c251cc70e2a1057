"""Decodes the bytes of image files into volumes. Other modules use images.py."""

import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.data._file import ImageError

AGAIN = "copy or export the file again"
# Far more than any brain scan (BraTS: 8.9 million), far less than would fill the memory.
MAX_VOXELS = 2**28
MAX_BYTES = 8 * MAX_VOXELS + 2**26  # limit for a file and for its voxels
HEAD = 2**17  # bytes from the start of a file, enough to hold its header, compressed or not
# ISA-L decompresses three times as fast as zlib. Some platforms have no wheel of it; there zlib is used.
_library: Any = zlib
try:
    from isal import isal_zlib
except ImportError:
    pass
else:
    _library = isal_zlib
GZIP = b"\x1f\x8b"
MEMBER = 2**16  # bytes of compressed data per step, after the first member
MAX_EMPTY = 100  # empty members; programs that compress in blocks write one at the end


@dataclass(frozen=True)
class SourceFile:
    """One file that a volume was read from, with its size and hash."""

    path: Path
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path, data: bytes) -> "SourceFile":
        """Describes a file, given the bytes that were read from it."""
        return cls(path, len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class Image:
    """A 3-D volume in the axis order and orientation of its file.

    Attributes:
        array: Voxels (x, y, z), or (x, y, z, modalities) if four axes were asked for. Read-only, in the file's own type
            and the machine's byte order; float32 if the file holds wider floats or has a scale factor.
        affine: 4x4 matrix from voxel indices to mm, RAS (x to the right, y to the front, z up).
        path: The file.
        files: All files that the volume was read from, `path` first. An .mhd file keeps its voxels in a second file.
    """

    array: np.ndarray
    affine: np.ndarray
    path: Path
    files: tuple[SourceFile, ...]


@dataclass(frozen=True)
class Header:
    """What a file's header declares about its voxels.

    Attributes:
        shape: Shape of the voxel array, first index fastest.
        dtype: Type of the voxels in the file.
        affine: As in `Image`.
        offset: Position of the first voxel's first byte.
        scale: Slope and intercept, if the file has them.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    affine: np.ndarray
    offset: int = 0
    scale: tuple[float | None, float | None] = (None, None)

    @property
    def size(self) -> int:
        """Uncompressed size of the voxels in the file, bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def scaled(self) -> bool:
        """Whether the numbers in the file have to be scaled."""
        return self.scale[0] is not None and self.scale != (1, 0)

    @property
    def memory(self) -> int:
        """Memory needed to read the voxels, bytes."""
        wide = self.dtype.kind == "f" and self.dtype.itemsize != 4
        converted = self.scaled or wide or not self.dtype.isnative
        return self.size + (int(np.prod(self.shape)) * 4 if converted else 0)


def checked_shape(shape: tuple[int, ...], *, path: Path, axes: int = 3) -> tuple[int, ...]:
    """Checks a shape and removes trailing ones until it has `axes` numbers: 3, or 4 for a file of several modalities.

    Raises:
        ImageError: The shape has a different number of axes, or an impossible size.
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
    """Returns the affine as a 4x4 float64 array.

    Raises:
        ImageError: The affine is singular.
    """
    affine = np.asarray(affine, dtype=np.float64)
    with np.errstate(all="ignore"):
        lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        sound = np.isfinite(affine).all() and (lengths > 1e-6).all() and (lengths < 1e6).all()
        sound = sound and abs(np.linalg.det(affine[:3, :3] / lengths)) > 1e-3
        rows = np.round(affine[:3], 3).tolist()
    if not sound:
        raise ImageError(path, f"its affine {rows} is singular; export the file again")
    return affine


class Plain(io.BytesIO):
    """Reads bytes that are not compressed."""

    complete = True


class Inflated:
    """Decompresses gzip or zlib data, and verifies the checksum at the end of each member."""

    def __init__(self, data: bytes, *, path: Path) -> None:
        self._data, self._at, self._path = memoryview(data), 0, path
        self._stream = _library.decompressobj(47)  # 47: detect gzip or zlib from the first bytes
        self._rest: bytes | memoryview = b""
        self._step, self._empty, self._empties = len(data), True, 0

    @property
    def complete(self) -> bool:
        """Whether the last member was read to its end."""
        return bool(self._stream.eof)

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`."""
        pieces: list[bytes] = []
        try:
            while size > 0:
                if self._stream.eof and not self._open_next():
                    break
                if not self._rest:
                    self._rest = self._data[self._at : self._at + self._step]
                    self._at += len(self._rest)
                before = len(self._rest)
                piece = self._stream.decompress(self._rest, size)
                self._rest = self._stream.unconsumed_tail
                if piece:
                    self._empty = False
                    pieces.append(piece)
                    size -= len(piece)
                elif not self._stream.eof and (
                    len(self._rest) == before or (not self._rest and self._at == len(self._data))
                ):
                    break
        except (_library.error, zlib.error):
            raise ImageError(self._path, f"its compressed data is damaged; {AGAIN}") from None
        return b"".join(pieces)

    def _open_next(self) -> bool:
        """Opens the next member, if there is one."""
        start = self._at - len(self._stream.unused_data)
        if self._data[start : start + 2] != GZIP:
            return False
        self._empties += self._empty
        if self._empties > MAX_EMPTY:
            raise ImageError(self._path, f"its compressed data has more than {MAX_EMPTY} empty members; {AGAIN}")
        # Steps are small because the unused rest of a step is copied at the end of every member.
        self._at, self._rest, self._step, self._empty = start, b"", MEMBER, True
        self._stream = _library.decompressobj(47)
        return True


def voxels_of(stream: Plain | Inflated, *, header: Header, path: Path, start: bytes = b"") -> np.ndarray:
    """Reads the rest of a file, which must hold exactly the voxels that its header declares; returns `Image.array`.

    `start` holds the bytes that were already read from the stream; the header's offset counts from its first byte.

    Raises:
        ImageError: The file holds fewer or more bytes than declared, or its compressed data is damaged or incomplete.
    """
    shape, dtype, size, offset = header.shape, header.dtype, header.size, header.offset
    body = start + stream.read(max(0, offset + size + 1 - len(start)))
    promise = f"its header declares {size} bytes of voxel data {shape}"
    if len(body) < offset + size:
        raise ImageError(path, f"truncated: {promise}, found {max(0, len(body) - offset)}; {AGAIN}")
    if len(body) > offset + size:
        raise ImageError(path, f"{promise}, found more; {AGAIN}")
    if not stream.complete:
        raise ImageError(path, f"truncated: its compressed data is incomplete; {AGAIN}")
    array = np.frombuffer(body, dtype=dtype, count=size // dtype.itemsize, offset=offset).reshape(shape, order="F")
    slope, intercept = header.scale
    with np.errstate(over="ignore", invalid="ignore"):
        if header.scaled and slope is not None:
            array = array.astype(np.float32) * np.float32(slope) + np.float32(intercept or 0)
        elif dtype.kind == "f" and dtype.itemsize != 4:
            array = array.astype(np.float32)
        elif not dtype.isnative:
            array = array.astype(dtype.newbyteorder("="))
    array.flags.writeable = False
    return array
