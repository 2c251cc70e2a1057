"""Reads MetaImage (.mha, .mhd) through SimpleITK, after checks that SimpleITK leaves out.

SimpleITK hands back wrong voxels, with a note on stderr only, where compressed data is damaged; and a header that
promises too much makes it allocate that much. So the payload is verified here first.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from brats_cascade.data._image import ImageError, SourceFile, checked_affine, checked_shape
from brats_cascade.data._inflate import ERRORS, inflater

# MetaIO's names -> bytes per voxel.
_SIZES: Mapping[str, int] = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_AGAIN = "copy or export the file again"
_MARK = b"ElementDataFile"


def parse_metaimage(data: bytes, *, path: Path) -> tuple[np.ndarray, np.ndarray, np.dtype, tuple[SourceFile, ...]]:
    """Turns a file into voxels.

    Args:
        data: The whole file, already read.
        path: The file, from which SimpleITK reads.

    Returns:
        Voxels (x, y, z), affine (4, 4) in RAS mm, the type in the file, and the further file that holds the voxels of an
        .mhd.

    Raises:
        ImageError: Anything but a sound 3-D volume.
    """
    import SimpleITK

    beside = _verify(data, path=path)
    try:
        with _quiet_stderr():
            image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ImageError(path, f"SimpleITK cannot read it ({reason}); {_AGAIN}") from None
    array = SimpleITK.GetArrayFromImage(image).transpose()
    dtype = array.dtype
    if dtype == np.float64:
        with np.errstate(over="ignore", invalid="ignore"):
            array = array.astype(np.float32)
    array.flags.writeable = False
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = _LPS_TO_RAS @ direction * np.array(image.GetSpacing())
    affine[:3, 3] = _LPS_TO_RAS @ np.array(image.GetOrigin())
    # -0.0 would be written back as such.
    return array, checked_affine(affine + 0.0, path=path), dtype, beside


def write_metaimage(path: Path, array: np.ndarray, *, affine: np.ndarray) -> None:
    """Writes a compressed .mha.

    Args:
        path: The file.
        array: Voxels (x, y, z).
        affine: 4x4, RAS mm, without shear.
    """
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose()))
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    image.SetSpacing(spacing.tolist())
    image.SetDirection((_LPS_TO_RAS @ (affine[:3, :3] / spacing)).ravel().tolist())
    image.SetOrigin((_LPS_TO_RAS @ affine[:3, 3]).tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=True)


def _verify(data: bytes, *, path: Path) -> tuple[SourceFile, ...]:
    """Checks the header's promises against the bytes that are there; returns the file of the voxels if it is another."""
    header, payload, beside = _split(data, path=path)
    files = (SourceFile.of(beside, payload),) if beside else ()
    try:
        dimensions = int(header["NDims"])
        shape = tuple(int(size) for size in header["DimSize"].split())
        channels = int(header.get("ElementNumberOfChannels", "1"))
        kind = header["ElementType"]
        binary = header.get("BinaryData", "True").lower() == "true"
        compressed = header.get("CompressedData", "False").lower() == "true"
        skip = int(header.get("HeaderSize", "0"))
    except (KeyError, ValueError) as error:
        raise ImageError(path, f"its MetaImage header is damaged at {error}; {_AGAIN}") from None
    shape3 = checked_shape(shape, path=path)
    if dimensions != 3 or channels != 1 or kind not in _SIZES or not binary or skip:
        raise ImageError(
            path,
            f"expected a binary 3-D volume of one number per voxel, received NDims {dimensions}, {channels} channels, "
            f"{kind}; export it as one plain .mha",
        )
    size = int(np.prod(shape3)) * _SIZES[kind]
    if compressed:
        payload = _inflate(payload, size=size, path=path)
    if len(payload) != size:
        short = len(payload) < size
        found = f"found {len(payload) if short else 'more'}; {_AGAIN}"
        raise ImageError(
            path, f"{'truncated: ' if short else ''}its header declares {size} bytes of voxel data {shape3}, {found}"
        )
    return files


def _split(data: bytes, *, path: Path) -> tuple[dict[str, str], bytes, Path | None]:
    """The header's keys, the bytes of the voxels, and the file beside it in which they lie, if they do."""
    at = data[: 2**16].find(_MARK)
    end = data.find(b"\n", at)
    if at < 0 or b"NDims" not in data[:at]:
        raise ImageError(path, f"expected a MetaImage header, found bytes {data[:8].hex(' ')}; {_AGAIN}")
    lines = data[: end if end >= 0 else len(data)].decode("latin-1").splitlines()
    header = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    where = header.get(_MARK.decode())
    if where is None:
        raise ImageError(path, f"its MetaImage header is damaged at {_MARK.decode()!r}; {_AGAIN}")
    if where.upper() == "LOCAL":
        return header, data[end + 1 :] if end >= 0 else b"", None
    beside = path.parent / where
    if Path(where).name != where or not beside.is_file():
        raise ImageError(path, f"its voxels should be in {where!r} beside it; put that file there, or export one .mha")
    return header, beside.read_bytes(), beside


def _inflate(payload: bytes, *, size: int, path: Path) -> bytes:
    stream = inflater(47)
    try:
        voxels = stream.decompress(payload, size + 1)
    except ERRORS:
        raise ImageError(path, f"its compressed voxels are damaged; {_AGAIN}") from None
    if len(voxels) == size and not stream.eof:
        raise ImageError(path, f"truncated: its compressed voxels are incomplete; {_AGAIN}")
    return voxels


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Sends what C++ code writes to stderr to nowhere; the reason comes back in the exception."""
    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
