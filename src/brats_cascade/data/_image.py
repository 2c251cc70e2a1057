"""A volume as it is read from a file's bytes; images.py is the face."""

import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.data._file import ImageError

AGAIN = "copy or export the file again"
# Far above any brain scan (BraTS: 8.9 million), far below what would fill the memory.
MAX_VOXELS = 2**28
MAX_BYTES = 8 * MAX_VOXELS + 2**26  # of a file, or of its voxels
HEAD = 2**17  # bytes of a file that hold its header, compressed or not
# ISA-L's inflate is three times as fast as Python's own, which serves where there is no wheel of it.
_library: Any = zlib
try:
    from isal import isal_zlib
except ImportError:
    pass
else:
    _library = isal_zlib
GZIP = b"\x1f\x8b"
MEMBER = 2**16  # bytes of compressed data that a member after the first is fed at once
MAX_EMPTY = 100  # members without content; writers that compress in blocks leave one at the end


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
        files: Every file that the volume consists of, `path` first: an .mhd has its voxels in a second one.
    """

    array: np.ndarray
    affine: np.ndarray
    path: Path
    files: tuple[SourceFile, ...]


@dataclass(frozen=True)
class Header:
    """What a file declares about its voxels.

    Attributes:
        shape: Theirs, first index fastest.
        dtype: Their type in the file.
        affine: As that of `Image`.
        offset: Place of the first voxel's first byte.
        scale: Slope and intercept, where the file gives them.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    affine: np.ndarray
    offset: int = 0
    scale: tuple[float | None, float | None] = (None, None)

    @property
    def size(self) -> int:
        """Bytes of the voxels in the file, uncompressed."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def scaled(self) -> bool:
        """Whether the numbers in the file have to be multiplied."""
        return self.scale[0] is not None and self.scale != (1, 0)

    @property
    def memory(self) -> int:
        """Bytes that reading the voxels takes."""
        wide = self.dtype.kind == "f" and self.dtype.itemsize != 4
        converted = self.scaled or wide or not self.dtype.isnative
        return self.size + (int(np.prod(self.shape)) * 4 if converted else 0)


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
        rows = np.round(affine[:3], 3).tolist()
    if not sound:
        raise ImageError(path, f"its affine {rows} is singular; export the file again")
    return affine


class Plain(io.BytesIO):
    """Bytes that are read as they are."""

    complete = True


class Inflated:
    """Gzip or zlib data; checksums are verified where a member ends."""

    def __init__(self, data: bytes, *, path: Path) -> None:
        self._data, self._at, self._path = memoryview(data), 0, path
        self._stream = _library.decompressobj(47)  # 47: gzip or zlib, told by the first bytes
        self._rest: bytes | memoryview = b""
        self._step, self._empty, self._empties = len(data), True, 0

    @property
    def complete(self) -> bool:
        """Whether the last member has come to its end."""
        return bool(self._stream.eof)

    def read(self, size: int) -> bytes:
        """The next bytes, at most that many."""
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
        """Goes on to the next member, where there is one."""
        start = self._at - len(self._stream.unused_data)
        if self._data[start : start + 2] != GZIP:
            return False
        self._empties += self._empty
        if self._empties > MAX_EMPTY:
            raise ImageError(self._path, f"its compressed data has more than {MAX_EMPTY} empty members; {AGAIN}")
        # Small steps: what is left of a step is copied at the end of every member.
        self._at, self._rest, self._step, self._empty = start, b"", MEMBER, True
        self._stream = _library.decompressobj(47)
        return True


def voxels_of(stream: Plain | Inflated, *, header: Header, path: Path, start: bytes = b"") -> np.ndarray:
    """Reads the rest of a file, which must hold exactly the voxels that its header declares, as `Image.array`.

    The header's offset counts from the first byte of `start`, what was read of the stream already.

    Raises:
        ImageError: There are fewer or more bytes, or the compressed data is damaged or incomplete.
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
