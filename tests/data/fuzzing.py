"""Damages sound files at random and reads them; used on written-out files and on headers of real scans."""

import gzip
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from brats_cascade.data.images import ImageError, read_image

# NIfTI-1: where sizes, types, offsets, scale factors, codes and the orientation are.
FIELDS = (0, 40, 42, 44, 46, 70, 72, 76, 80, 108, 112, 116, 252, 254, 256, 268, 280, 284, 288, 296, 312, 344)
SECONDS = 5.0  # of processor time for one small file, which a busy machine does not change


def damaged(data: bytes, *, rng: np.random.Generator) -> bytes:
    """Cuts, flips, overwrites, doubles; mostly in the header, where damage does most."""
    if rng.random() < 0.25:
        data = data[: rng.integers(0, len(data))]
    result = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        if not result:
            break
        at = int(rng.integers(0, min(len(result), 420 if rng.random() < 0.8 else len(result))))
        kind = rng.integers(0, 6)
        if kind == 0:
            result[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            result[at : at + 4] = rng.bytes(4)
        elif kind == 2:
            result[at : at + int(rng.integers(1, 40))] = b""
        elif kind == 3:
            result[at:at] = rng.bytes(int(rng.integers(1, 40)))
        elif kind == 4:
            field = int(rng.choice(FIELDS))
            extreme = (
                b"\xff\x7f",
                b"\xff\xff\xff\x7f",
                b"\x00\x00\xc0\x7f",
                b"\x00\x00\x80\x7f",
                b"\x00\x00",
                b"\x01\x80",
            )
            chosen = extreme[int(rng.integers(0, len(extreme)))]
            result[field : field + len(chosen)] = chosen
        else:
            result[at : at + int(rng.integers(1, 80))] = bytes(int(rng.integers(1, 80)))
    return bytes(result)


def fuzz(folder: Path, *, sound: Mapping[str, bytes], rounds: int, seed: int) -> dict[str, int]:
    """Reads `rounds` damaged versions of every sound file, name -> bytes; returns how many were refused and read.

    Those named packed* or four* are damaged as they are, and packed afterwards; four* hold four modalities.
    """
    counts = {"refused": 0, "read": 0}
    rng = np.random.default_rng(seed)
    for name, data in sound.items():
        axes = 4 if name.startswith("four") else 3
        for number in range(rounds):
            broken = damaged(data, rng=rng)
            if name.startswith(("packed", "four")):
                broken = gzip.compress(broken, compresslevel=1, mtime=0)
            path = folder / name
            path.write_bytes(broken)
            start = time.process_time()
            try:
                image = read_image(path, axes=axes)
            except ImageError as error:
                counts["refused"] += 1
                assert str(error).startswith(str(path)) and "\n" not in str(error), (name, number)
            else:
                counts["read"] += 1
                assert image.array.ndim == axes and image.array.size <= 2**28, (name, number)
                assert np.isfinite(image.affine).all(), (name, number)
            assert time.process_time() - start < SECONDS, (name, number)
    return counts
