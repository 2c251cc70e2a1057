"""Reads MetaImage files (.mha, .mhd) with a strict parser, and writes them with SimpleITK.

SimpleITK is not used for reading: it returns wrong voxels if CompressedDataSize is wrong, accepts `:` for `=`, takes the
last of two values for a key, and reads any files that a LIST names.
"""

import difflib
import errno
import os
import re
from pathlib import Path

import numpy as np

from brats_cascade.data._file import ImageError, read_file
from brats_cascade.data._image import (
    AGAIN,
    MAX_BYTES,
    Header,
    Inflated,
    Plain,
    SourceFile,
    checked_affine,
    checked_shape,
    voxels_of,
)
from brats_cascade.errors import naming

_TYPES = {
    **{"MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4"},
    **{"MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8"},
}
MAX_HEADER = 2**16  # bytes
_VOXELS = "ElementDataFile"  # the last key of a header
# The keys that are interpreted, with their aliases. Any other key is ignored unless it is a misspelling of one of these.
_KEYS = {
    **dict.fromkeys(("TransformMatrix", "Rotation", "Orientation"), "TransformMatrix"),
    **dict.fromkeys(("Offset", "Position", "Origin"), "Offset"),
    **dict.fromkeys(("BinaryDataByteOrderMSB", "ElementByteOrderMSB"), "BinaryDataByteOrderMSB"),
    **{key: key for key in ("NDims", "DimSize", "ElementType", "ElementNumberOfChannels", "ElementSpacing", _VOXELS)},
    **{key: key for key in ("BinaryData", "CompressedData", "CompressedDataSize", "HeaderSize", "ElementSize")},
    **{key: key for key in ("ObjectType", "ObjectSubType", "CenterOfRotation", "AnatomicalOrientation", "Modality")},
}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EACCES)
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def parse_metaimage(data: bytes, *, path: Path) -> tuple[np.ndarray, Header, tuple[SourceFile, ...]]:
    """Parses the bytes of a MetaImage file.

    Returns:
        The voxels (x, y, z), the header, and the separate file that holds the voxels of an .mhd.

    Raises:
        ImageError: The file is not a valid 3-D volume.
    """
    keys, end = _keys(data, path=path)
    header, beside = _checked(keys, path=path), _beside(keys, path=path)
    payload = data[end:] if beside is None else read_file(beside, most=MAX_BYTES)
    stream = Inflated(payload, path=path) if _is_true(keys.get("CompressedData", "F")) else Plain(payload)
    files = () if beside is None else (SourceFile.of(beside, payload),)
    return voxels_of(stream, header=header, path=path), header, files


def metaimage_header(head: bytes, *, path: Path) -> tuple[Header, Path | None]:
    """Parses the header from a file's first bytes; also returns the separate file that holds the voxels of an .mhd."""
    keys, _ = _keys(head, path=path)
    return _checked(keys, path=path), _beside(keys, path=path)


def metaimage_texts(head: bytes, *, path: Path) -> dict[str, str]:
    """The header lines that do not describe the voxels, from a file's first bytes."""
    keys, _ = _keys(head, path=path)
    return {key: f"{key} = {value}" for key, value in keys.items() if key not in _KEYS and value}


def _checked(keys: dict[str, str], *, path: Path) -> Header:
    """Interprets the header's keys, and refuses everything but plain 3-D volumes."""
    try:
        shape = checked_shape(tuple(int(size) for size in _numbers(keys["DimSize"])), path=path)
        axes, channels = _numbers(keys["NDims"]), _numbers(keys.get("ElementNumberOfChannels", "1"))
        spacing = np.array(_numbers(keys.get("ElementSpacing", keys.get("ElementSize", "1 1 1"))))
        turn = np.array(_numbers(keys.get("TransformMatrix", "1 0 0 0 1 0 0 0 1"))).reshape(3, 3).T
        origin = np.array(_numbers(keys.get("Offset", "0 0 0")))
        binary, _ = _is_true(keys.get("BinaryData", "T")), _is_true(keys.get("CompressedData", "F"))
        order = ">" if _is_true(keys.get("BinaryDataByteOrderMSB", "F")) else "<"
        skip, kind = _numbers(keys.get("HeaderSize", "0")), keys["ElementType"]
        if spacing.shape != (3,) or origin.shape != (3,) or spacing.min() < 0:
            raise ValueError("ElementSpacing or Offset")
    except (KeyError, ValueError) as error:
        raise ImageError(path, f"its MetaImage header is damaged at {error}; {AGAIN}") from None
    if (axes, channels, skip, binary) != ([3], [1], [0], True) or kind not in _TYPES:
        raise ImageError(
            path,
            f"expected a binary 3-D volume of one number per voxel, received NDims {keys['NDims']}, {channels} channels, "
            f"{kind}; export it as one plain .mha",
        )
    affine = np.eye(4)
    with np.errstate(all="ignore"):  # numbers that overflow are refused below
        affine[:3, :3] = _LPS_TO_RAS @ turn * spacing
        affine[:3, 3] = _LPS_TO_RAS @ origin
    # Turns -0.0 into 0.0, because -0.0 would be written back as it is.
    return Header(shape, np.dtype(order + _TYPES[kind]), checked_affine(affine + 0.0, path=path))


def write_metaimage(path: Path, array: np.ndarray, *, affine: np.ndarray) -> None:
    """Writes voxels (x, y, z) as a compressed .mha file; the affine (4, 4) is in RAS mm, without shear.

    Raises:
        OSError: The file could not be written, or reads back differently. No file is left behind.
    """
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose()))
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    image.SetSpacing(spacing.tolist())
    # Adding 0.0 turns -0.0 into 0.0.
    image.SetDirection((_LPS_TO_RAS @ (affine[:3, :3] / spacing) + 0.0).ravel().tolist())
    image.SetOrigin((_LPS_TO_RAS @ affine[:3, 3] + 0.0).tolist())
    with naming(path):
        try:
            SimpleITK.WriteImage(image, str(path), useCompression=True)
            whole = np.array_equal(parse_metaimage(path.read_bytes(), path=path)[0], array)
            reason = "" if whole else "written, but reads back differently"
        except (RuntimeError, ImageError) as error:
            reason = str(error)
        if reason:
            path.unlink(missing_ok=True)
            code = next((code for code in _WRITING if os.strerror(code) in reason), errno.EIO)
            raise OSError(code, os.strerror(code))


def _keys(data: bytes, *, path: Path) -> tuple[dict[str, str], int]:
    """The header's keys and values, and the position at which the header ends."""
    at = data[:MAX_HEADER].find(_VOXELS.encode())
    end = data.find(b"\n", at, MAX_HEADER) + 1 or len(data)
    if at < 0 or end > MAX_HEADER or b"NDims" not in data[:at]:
        raise ImageError(path, f"expected a MetaImage header, found bytes {data[:8].hex(' ')}; {AGAIN}")
    header: dict[str, str] = {}
    for line in data[:end].decode("latin-1").split("\n"):
        name, equals, value = (part.strip(" \t\r") for part in line.partition("="))
        key = _KEYS.get(name, name)
        odd = name in _KEYS and name != _VOXELS and not (value.isascii() and value.replace("\t", " ").isprintable())
        misspelt = name not in _KEYS and difflib.get_close_matches(name, _KEYS, n=1, cutoff=0.8)
        if line.strip() and (odd or not equals or not name.isprintable() or ":" in name or key in header or misspelt):
            raise ImageError(path, f"its MetaImage header is damaged at {line[:60].strip()!r}; {AGAIN}")
        header[key] = value
    return header, end


def _beside(keys: dict[str, str], *, path: Path) -> Path | None:
    """The separate file that holds the voxels, if there is one. Files in other folders and lists of files are refused."""
    where = keys.get(_VOXELS, "")
    if where.upper() == "LOCAL":
        return None
    beside = path.parent / where
    listed = where.upper().startswith("LIST")
    if Path(where).name != where or listed or not os.path.isfile(beside):  # noqa: PTH113 - is_file() fails for odd names
        raise ImageError(
            path, f"its voxels should be in {where[:60]!r} next to it; put that file there, or export one .mha"
        )
    return beside


def _numbers(text: str) -> list[float]:
    if not all(_NUMBER.fullmatch(word) for word in text.split()):
        raise ValueError(repr(text))
    return [float(word) for word in text.split()]


def _is_true(text: str) -> bool:
    if text[:1] not in tuple("TtFf10"):
        raise ValueError(repr(text))
    return text[0] in "Tt1"
