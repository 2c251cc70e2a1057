"""Reads the bytes of a NIfTI file once: decompresses, verifies, and views them as an array. nibabel parses the header."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError

from brats_cascade.data._file import ImageError
from brats_cascade.data._image import AGAIN, GZIP, Header, Inflated, Plain, checked_affine, checked_shape, voxels_of

MAX_EXTENSIONS = 2**16  # bytes of the header and its extensions that are searched for text
AFNI, _AFNI = "AFNI's history", 4  # AFNI's header extension and its code
TEXTS = ("data_type", "db_name", "descrip", "aux_file", "intent_name")
_HEADERS = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}
_UNITS = {1: 1000.0, 3: 0.001}  # codes of units of length other than mm: metre and micrometre, in mm


def parse_nifti(data: bytes, *, path: Path, axes: int = 3) -> tuple[np.ndarray, Header]:
    """Parses the bytes of a NIfTI file into voxels (x, y, z) or, for a file of 4 axes, (x, y, z, modalities), and the header.

    Compression is detected from the bytes, not from the suffix, because people rename files.

    Raises:
        ImageError: The file is not a valid volume with that many axes.
    """
    stream = _stream(data, path=path)
    start = stream.read(540)
    header = _checked(start, path=path, axes=axes)
    return voxels_of(stream, header=header, path=path, start=start), header


def nifti_header(head: bytes, *, path: Path, axes: int = 3) -> Header:
    """Parses the header from a file's first bytes; raises as `parse_nifti` does."""
    return _checked(_stream(head, path=path).read(540), path=path, axes=axes)


def nifti_texts(head: bytes, *, path: Path) -> dict[str, str]:
    """The header fields that hold text, and the header extensions, from a file's first bytes."""
    stream = _stream(head, path=path)
    start = stream.read(540)
    header = _header(start, path=path)
    texts = {name: _as_text(header[name].item()) for name in TEXTS if name in header}
    size, most = int(header["sizeof_hdr"]), min(int(np.nan_to_num(header["vox_offset"])), MAX_EXTENSIONS)
    data = (start + stream.read(max(0, most - len(start))))[size + 4 : max(most, 0)]
    while len(data) > 8:
        length, code = (int(number) for number in np.frombuffer(data[:8], dtype=f"{header.endianness}i4"))
        name = AFNI if code == _AFNI else "an extension"
        texts[name] = texts.get(name, "") + _as_text(data[8 : max(length, 16)]) + "\n"
        data = data[max(length, 16) :]
    return texts


def _as_text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("latin-1")


def _stream(data: bytes, *, path: Path) -> Inflated | Plain:
    return Inflated(data, path=path) if data[:2] == GZIP else Plain(data)


def _checked(start: bytes, *, path: Path, axes: int) -> Header:
    header = _header(start, path=path)
    try:
        with np.errstate(all="ignore"):  # damaged numbers overflow in nibabel
            shape = checked_shape(tuple(int(size) for size in header.get_data_shape()), path=path, axes=axes)
            dtype = header.get_data_dtype()
            scale = header.get_slope_inter()
            affine = header.get_best_affine()
            affine[:3] *= _UNITS.get(int(header["xyzt_units"]) & 7, 1.0)  # nibabel ignores the unit
            offset = int(header["vox_offset"])
    except (HeaderDataError, ValueError, KeyError, OverflowError, TypeError, ArithmeticError) as error:
        raise ImageError(path, f"its NIfTI header is invalid ({error}); {AGAIN}") from None
    if dtype.kind not in "iuf":
        raise ImageError(path, f"expected one number per voxel, found type {dtype}; export it as int16 or float32")
    if not int(header["sizeof_hdr"]) <= offset <= 2**26:
        raise ImageError(path, f"its NIfTI header puts the voxels at byte {offset}; {AGAIN}")
    return Header(shape, dtype, checked_affine(affine, path=path), offset, scale)


def nifti_image(path: Path) -> nibabel.Nifti1Image:
    """Opens a file that `parse_nifti` has accepted as a Nifti1Image or Nifti2Image; nibabel.load would rely on the suffix."""
    data = path.read_bytes()
    data = gzip.decompress(data) if data[:2] == GZIP else data
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
                path, f"truncated: expected a header of {min(_HEADERS)} bytes, found {len(start)}; {AGAIN}"
            )
        raise ImageError(path, f"not a NIfTI file (its data starts with {start[:4].hex(' ')}); {AGAIN}")
    if len(start) < size:
        raise ImageError(path, f"truncated: expected a header of {size} bytes, found {len(start)}; {AGAIN}")
    header = _HEADERS[size](binaryblock=start[:size], endianness="<" if order == "little" else ">", check=False)
    magic = bytes(header["magic"])[:3]
    if magic not in (b"n+1", b"n+2"):
        raise ImageError(path, f"expected the NIfTI magic n+1 or n+2, found {magic!r}; export one .nii.gz file")
    return header
