"""MetaImage headers changed at random, read here and by SimpleITK, whose own parser is another."""

import re
from pathlib import Path

import numpy as np
import SimpleITK
from fuzzing import Tally

from brats_cascade.data.images import read_image

VOXELS = np.random.default_rng(0).integers(-900, 900, size=(4, 5, 6)).astype("int16")  # slices, rows, columns
WORDS = (b"1", b"0", b"-1", b"True", b"False", b"336", b"1e3", b"MET_USHORT", b"MET_FLOAT", b"LIST", b"2 3 4")
TURN = (0.6, -0.8, 0.0, 0.8, 0.6, 0.0, 0.0, 0.0, 1.0)


def written(folder, *, compressed, name="sound.mha"):
    image = SimpleITK.GetImageFromArray(VOXELS)
    image.SetSpacing((1, 2, 3))
    image.SetOrigin((4, -5, 6))
    image.SetDirection(TURN)
    SimpleITK.WriteImage(image, str(folder / name), useCompression=compressed)
    return (folder / name).read_bytes()


def mutated(raw, rng):
    """A header with a few of its characters, words or lines changed."""
    end = raw.index(b"LOCAL\n") + 6
    header = raw[:end]
    for _ in range(rng.integers(1, 3)):
        lines = header.split(b"\n")
        number = int(rng.integers(0, len(lines) - 1))
        kind = rng.integers(0, 6)
        if kind == 0:
            lines[number] = b""
        elif kind == 1:
            lines.insert(number, lines[int(rng.integers(0, len(lines) - 1))])
        elif kind == 2:
            lines[number] = lines[number].replace(b"=", [b":", b"", b"==", b" = 1"][rng.integers(0, 4)])
        elif kind == 3:
            lines[number] = lines[number].rpartition(b" ")[0] + b" " + WORDS[rng.integers(0, len(WORDS))]
        else:
            line = bytearray(lines[number] or b" ")
            line[rng.integers(0, len(line))] = (
                rng.integers(0, 256) if kind == 4 else b"0123456789.-"[rng.integers(0, 12)]
            )
            lines[number] = bytes(line)
        header = b"\n".join(lines)
    return header + raw[end:]


def fuzz_headers(folder: Path, *, rounds: int, seed: int) -> Tally:
    """Reads `rounds` changed headers each of a plain and a compressed file; other voxels or places are a fault, too."""
    tally, rng, path = Tally(), np.random.default_rng(seed), folder / "a.mha"
    for compressed in (False, True):
        raw = written(folder, compressed=compressed)
        size = len(raw) - raw.index(b"LOCAL") - 6 if compressed else None
        for number in range(rounds):
            path.write_bytes(mutated(raw, rng))
            tally.attempt(
                lambda: read_image(path), name=f"{'compressed' if compressed else 'plain'} file {number}", path=path,
                wrong=lambda image, size=size: difference(image, path=path, size=size),
            )  # fmt: skip
    return tally


def difference(image, *, path, size):
    """How an image differs from what SimpleITK reads; `size` is that of compressed voxels, whose declared size it believes."""
    if len(image.files) != 1:
        return "other files were read"
    if size is not None:
        sized = re.sub(rb"CompressedDataSize.*\n", b"", path.read_bytes())
        path.write_bytes(sized.replace(b"ElementDataFile", b"CompressedDataSize = %d\nElementDataFile" % size, 1))
    try:
        theirs = SimpleITK.ReadImage(str(path))
    except RuntimeError:  # it takes no DimSize before NDims, for one
        return "" if np.array_equal(image.array, VOXELS.transpose()) else "other voxels than were written"
    if not np.array_equal(image.array, SimpleITK.GetArrayFromImage(theirs).transpose()):
        return "other voxels than SimpleITK's"
    place = theirs.TransformIndexToPhysicalPoint((3, 2, 1))
    mine = (image.affine @ [3, 2, 1, 1])[:3] * [-1, -1, 1]
    return "" if np.allclose(mine, place, rtol=1e-5, atol=1e-5) else "another place than SimpleITK's"
