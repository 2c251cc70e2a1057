"""Reads a NIfTI file's bytes once: inflate, verify, view as an array. nibabel interprets the header."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError

from brats_cascade.data._image import ImageError, checked_affine, checked_shape
from brats_cascade.data._inflate import ERRORS, inflater

_GZIP = b"\x1f\x8b"
_AGAIN = "copy or download the file again"
_HEADERS = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}


def parse_nifti(data: bytes, *, path: Path, axes: int = 3) -> tuple[np.ndarray, np.ndarray, np.dtype]:
    """Turns a file's bytes into voxels.

    Args:
        data: The whole file.
        path: For messages. Whether the data is compressed is told by its bytes, since files are renamed by hand.
        axes: 3, or 4 for a file whose last axis holds modalities.

    Returns:
        Voxels (x, y, z) or (x, y, z, modalities), affine (4, 4) and the type in the file.

    Raises:
        ImageError: Anything but a sound volume of that many axes.
    """
    stream: _Gzip | _Plain
    stream = _Gzip(data, path=path) if data[:2] == _GZIP else _Plain(data)
    start = stream.read(540)
    header = _header(start, path=path)
    try:
        with np.errstate(all="ignore"):  # damaged numbers overflow in nibabel's arithmetic
            shape = checked_shape(tuple(int(size) for size in header.get_data_shape()), path=path, axes=axes)
            dtype = header.get_data_dtype()
            slope, intercept = header.get_slope_inter()
            affine = header.get_best_affine()
            offset = int(header["vox_offset"])
    except (HeaderDataError, ValueError, KeyError, OverflowError, TypeError, ArithmeticError) as error:
        raise ImageError(path, f"its NIfTI header is invalid ({error}); {_AGAIN}") from None
    if dtype.kind not in "iuf":
        raise ImageError(path, f"expected one number per voxel, found type {dtype}; export it as int16 or float32")
    if not int(header["sizeof_hdr"]) <= offset <= 2**26:
        raise ImageError(path, f"its NIfTI header puts the voxels at byte {offset}; {_AGAIN}")
    size = int(np.prod(shape)) * dtype.itemsize
    body = start + stream.read(offset + size + 1 - len(start))
    promise = f"its header declares {size} bytes of voxel data {shape}"
    if len(body) < offset + size:
        raise ImageError(path, f"truncated: {promise}, found {max(0, len(body) - offset)}; {_AGAIN}")
    if len(body) > offset + size:
        raise ImageError(path, f"{promise}, found more; {_AGAIN}")
    if not stream.complete:
        raise ImageError(path, f"truncated: its gzip data is incomplete; {_AGAIN}")
    array = np.frombuffer(body, dtype=dtype, count=size // dtype.itemsize, offset=offset).reshape(shape, order="F")
    return _scaled(array, slope=slope, intercept=intercept), checked_affine(affine, path=path), dtype


def nifti_image(path: Path) -> nibabel.Nifti1Image:
    """Opens a file that parse_nifti has read as nibabel's image; nibabel.load would go by the suffix.

    Args:
        path: The file.

    Returns:
        A Nifti1Image or Nifti2Image.
    """
    data = path.read_bytes()
    data = gzip.decompress(data) if data[:2] == _GZIP else data
    sizes = {int.from_bytes(data[:4], order) for order in ("little", "big")}
    return (nibabel.Nifti2Image if 540 in sizes else nibabel.Nifti1Image).from_bytes(data)


def _header(start: bytes, *, path: Path) -> nibabel.Nifti1Header:
    for order in ("little", "big"):
        size = int.from_bytes(start[:4], order, signed=True)
        if size in _HEADERS:
            break
    else:
        if len(start) < 4:
            raise ImageError(
                path, f"truncated: expected a header of {min(_HEADERS)} bytes, found {len(start)}; {_AGAIN}"
            )
        raise ImageError(path, f"not a NIfTI file (its data starts with {start[:4].hex(' ')}); {_AGAIN}")
    if len(start) < size:
        raise ImageError(path, f"truncated: expected a header of {size} bytes, found {len(start)}; {_AGAIN}")
    header = _HEADERS[size](binaryblock=start[:size], endianness="<" if order == "little" else ">", check=False)
    magic = bytes(header["magic"])[:3]
    if magic not in (b"n+1", b"n+2"):
        raise ImageError(path, f"expected the NIfTI magic n+1 or n+2, found {magic!r}; export one .nii.gz file")
    return header


def _scaled(array: np.ndarray, *, slope: float | None, intercept: float | None) -> np.ndarray:
    if slope is not None and (slope, intercept) != (1, 0):
        with np.errstate(over="ignore", invalid="ignore"):
            array = array.astype(np.float32) * np.float32(slope) + np.float32(intercept or 0)
    elif array.dtype.kind == "f" and array.dtype.itemsize != 4:
        with np.errstate(over="ignore", invalid="ignore"):
            array = array.astype(np.float32)
    elif not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    array.flags.writeable = False
    return array


class _Plain:
    """Bytes that are read as they are."""

    complete = True

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece


class _Gzip:
    """Gzip data, inflated no further than asked for; checksums are verified where a member ends."""

    def __init__(self, data: bytes, *, path: Path) -> None:
        self._stream, self._rest, self._path = inflater(31), data, path

    @property
    def complete(self) -> bool:
        """Whether the last member has come to its end."""
        return self._stream.eof

    def read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        try:
            while size > 0:
                if self._stream.eof:
                    if self._stream.unused_data[:2] != _GZIP:
                        break
                    self._stream, self._rest = inflater(31), self._stream.unused_data
                before = len(self._rest)
                piece = self._stream.decompress(self._rest, size)
                self._rest = self._stream.unconsumed_tail
                if not piece and not self._stream.eof and len(self._rest) in (0, before):
                    break
                pieces.append(piece)
                size -= len(piece)
        except ERRORS:
            raise ImageError(self._path, f"its gzip data is damaged; {_AGAIN}") from None
        return b"".join(pieces)
