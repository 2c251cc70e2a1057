"""From a file's bytes, compressed or not, to voxels; nothing is read further than its header declares.

ISA-L's inflate is three times as fast as Python's own, which serves where there is no wheel of it.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.data._image import AGAIN, ImageError

_library: Any = zlib
try:
    from isal import isal_zlib
except ImportError:
    pass
else:
    _library = isal_zlib

GZIP = b"\x1f\x8b"


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
