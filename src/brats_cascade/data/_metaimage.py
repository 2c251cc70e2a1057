"""Reads MetaImage (.mha, .mhd) from the bytes of its files, with one parser that refuses what it does not understand.

SimpleITK's own parser gives wrong voxels for a wrong CompressedDataSize, takes `:` for `=` and the last of two values, and
reads whatever files a LIST names; so SimpleITK only writes here.
"""

import difflib
import errno
import os
import re
from pathlib import Path

import numpy as np

from brats_cascade.data._image import (
    AGAIN,
    ImageError,
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
_VOXELS = "ElementDataFile"  # the last key of a header
# Keys that have a meaning here, with their other names; keys that are no misspelling of these are other programs' own.
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


def parse_metaimage(data: bytes, *, path: Path) -> tuple[np.ndarray, np.ndarray, np.dtype, tuple[SourceFile, ...]]:
    """Turns a file's bytes into voxels.

    Args:
        data: The whole file.
        path: The file, for messages; the voxels of an .mhd are read from beside it.

    Returns:
        Voxels (x, y, z), affine (4, 4) in RAS mm, the type in the file, and the further file that holds the voxels of an
        .mhd.

    Raises:
        ImageError: Anything but a sound 3-D volume.
    """
    header, payload, beside = _split(data, path=path)
    try:
        shape = checked_shape(tuple(int(size) for size in _numbers(header["DimSize"])), path=path)
        axes, channels = _numbers(header["NDims"]), _numbers(header.get("ElementNumberOfChannels", "1"))
        spacing = np.array(_numbers(header.get("ElementSpacing", header.get("ElementSize", "1 1 1"))))
        turn = np.array(_numbers(header.get("TransformMatrix", "1 0 0 0 1 0 0 0 1"))).reshape(3, 3).T
        origin = np.array(_numbers(header.get("Offset", "0 0 0")))
        binary, packed = (
            _is_true(header.get(key, word)) for key, word in (("BinaryData", "T"), ("CompressedData", "F"))
        )
        order = ">" if _is_true(header.get("BinaryDataByteOrderMSB", "F")) else "<"
        skip, kind = _numbers(header.get("HeaderSize", "0")), header["ElementType"]
        if spacing.shape != (3,) or origin.shape != (3,) or spacing.min() < 0:
            raise ValueError("ElementSpacing or Offset")
    except (KeyError, ValueError) as error:
        raise ImageError(path, f"its MetaImage header is damaged at {error}; {AGAIN}") from None
    if (axes, channels, skip, binary) != ([3], [1], [0], True) or kind not in _TYPES:
        raise ImageError(
            path,
            f"expected a binary 3-D volume of one number per voxel, received NDims {header['NDims']}, {channels} channels, "
            f"{kind}; export it as one plain .mha",
        )
    stream = Inflated(payload, path=path) if packed else Plain(payload)
    dtype = np.dtype(order + _TYPES[kind])
    array = voxels_of(stream, shape=shape, dtype=dtype, path=path)
    affine = np.eye(4)
    affine[:3, :3] = _LPS_TO_RAS @ turn * spacing
    affine[:3, 3] = _LPS_TO_RAS @ origin
    # -0.0 would be written back as such.
    return array, checked_affine(affine + 0.0, path=path), dtype, beside


def write_metaimage(path: Path, array: np.ndarray, *, affine: np.ndarray) -> None:
    """Writes voxels (x, y, z) as a compressed .mha; the affine (4, 4) is in RAS mm, without shear.

    Raises:
        OSError: The file could not be written, or is not what was to be written; nothing is left of it.
    """
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose()))
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    image.SetSpacing(spacing.tolist())
    # + 0.0: -0.0 would be written as such.
    image.SetDirection((_LPS_TO_RAS @ (affine[:3, :3] / spacing) + 0.0).ravel().tolist())
    image.SetOrigin((_LPS_TO_RAS @ affine[:3, 3] + 0.0).tolist())
    with naming(path):
        try:
            SimpleITK.WriteImage(image, str(path), useCompression=True)
            whole = np.array_equal(parse_metaimage(path.read_bytes(), path=path)[0], array)
            reason = "" if whole else "written, but read back otherwise"
        except (RuntimeError, ImageError) as error:
            reason = str(error)
        if reason:
            path.unlink(missing_ok=True)
            code = next((code for code in _WRITING if os.strerror(code) in reason), errno.EIO)
            raise OSError(code, os.strerror(code))


def _split(data: bytes, *, path: Path) -> tuple[dict[str, str], bytes, tuple[SourceFile, ...]]:
    """The header's keys, the bytes of the voxels, and the file beside it in which they lie, if they do."""
    at = data[: 2**16].find(_VOXELS.encode())
    end = data.find(b"\n", at)
    if at < 0 or b"NDims" not in data[:at]:
        raise ImageError(path, f"expected a MetaImage header, found bytes {data[:8].hex(' ')}; {AGAIN}")
    header: dict[str, str] = {}
    for line in data[: end if end >= 0 else len(data)].decode("latin-1").split("\n"):
        name, equals, value = (part.strip() for part in line.partition("="))
        key = _KEYS.get(name, name)
        misspelt = name not in _KEYS and difflib.get_close_matches(name, _KEYS, n=1, cutoff=0.8)
        if line.strip() and (not equals or not name.isprintable() or ":" in name or key in header or misspelt):
            raise ImageError(path, f"its MetaImage header is damaged at {line[:60].strip()!r}; {AGAIN}")
        header[key] = value
    where = header.get(_VOXELS, "")
    if where.upper() == "LOCAL":
        return header, data[end + 1 :] if end >= 0 else b"", ()
    beside = path.parent / where
    if Path(where).name != where or where.upper().startswith("LIST") or not beside.is_file():
        raise ImageError(path, f"its voxels should be in {where!r} beside it; put that file there, or export one .mha")
    payload = beside.read_bytes()
    return header, payload, (SourceFile.of(beside, payload),)


def _numbers(text: str) -> list[float]:
    if not all(_NUMBER.fullmatch(word) for word in text.split()):
        raise ValueError(repr(text))
    return [float(word) for word in text.split()]


def _is_true(text: str) -> bool:
    if text[:1] not in tuple("TtFf10"):
        raise ValueError(repr(text))
    return text[0] in "Tt1"
