"""Damages sound files at random and reads them; used on written-out files and on headers of real scans."""

import gzip
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK

from brats_cascade.data.images import read_image
from brats_cascade.errors import UserError

# NIfTI-1: where sizes, types, offsets, scale factors, codes and the orientation are.
FIELDS = (0, 40, 42, 44, 46, 70, 72, 76, 80, 108, 112, 116, 252, 254, 256, 268, 280, 284, 288, 296, 312, 344)
EXTREME = (b"\xff\x7f", b"\xff\xff\xff\x7f", b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\x00\x00", b"\x01\x80")
SECONDS = 5.0  # of processor time for one small file, which a busy machine does not change
AFFINE = np.array([[-1.0, 0, 0, 12], [0, -2.0, 0, 239], [0, 0, 3.0, -7], [0, 0, 0, 1]])
NIFTI = ("a.nii", "b.nii.gz", "packed.nii.gz", "two.nii.gz", "four.nii.gz", "float.nii")
METAIMAGE = ("c.mha", "raw.mha")


@dataclass
class Tally:
    """What became of damaged files."""

    refused: int = 0  # in one line that begins with the file
    read: int = 0
    slowest: float = 0.0  # seconds of processor time
    faults: list[str] = field(default_factory=list)  # all else

    @property
    def tried(self) -> int:
        """Files in all; those with a fault are among the refused or the read ones, or neither."""
        return self.refused + self.read

    def attempt(
        self, call: Callable[[], Any], *, name: str, path: Path, wrong: Callable[[Any], str] = lambda _: ""
    ) -> None:
        """Reads one file; `wrong` says what is wrong with what was read."""
        began, problem = time.process_time(), ""
        try:
            with warnings.catch_warnings(action="error"):  # a line that nobody expects, on a user's screen
                found = call()
        except UserError as error:
            self.refused += 1
            if not str(error).startswith(str(path)) or "\n" in str(error):
                problem = f"its message is {str(error)[:200]!r}"
        except Exception as error:
            self.refused += 1
            problem = f"{type(error).__name__}: {str(error)[:200]!r}"
        else:
            self.read += 1
            problem = wrong(found)
        seconds = time.process_time() - began
        self.slowest = max(self.slowest, seconds)
        if seconds > SECONDS:
            problem = f"took {seconds:.1f} s"
        if problem:
            self.faults.append(f"{name}: {problem}".replace(str(path.parent), "."))


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
            chosen = EXTREME[int(rng.integers(0, len(EXTREME)))]
            result[field : field + len(chosen)] = chosen
        else:
            result[at : at + int(rng.integers(1, 80))] = bytes(int(rng.integers(1, 80)))
    return bytes(result)


def sound_files(folder: Path) -> dict[str, bytes]:
    """One small sound file of each format, as bytes."""
    rng = np.random.default_rng(0)
    voxels = rng.integers(0, 900, size=(6, 7, 8)).astype("int16")
    whole = nibabel.Nifti1Image(voxels, AFFINE).to_bytes()
    images = {"a.nii": whole, "b.nii.gz": gzip.compress(whole, mtime=0), "packed.nii.gz": whole}
    images["two.nii.gz"] = gzip.compress(nibabel.Nifti2Image(voxels, AFFINE).to_bytes(), mtime=0)
    images["four.nii.gz"] = nibabel.Nifti1Image(np.stack([voxels] * 4, axis=-1), AFFINE).to_bytes()
    images["float.nii"] = nibabel.Nifti1Image(voxels.astype("float64"), AFFINE).to_bytes()
    for name, packed in (("c.mha", True), ("raw.mha", False)):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(folder / name), useCompression=packed)
        images[name] = (folder / name).read_bytes()
    return images


def fuzz(folder: Path, *, sound: Mapping[str, bytes], rounds: int, seed: int) -> Tally:
    """Reads `rounds` damaged versions of every sound file, name -> bytes.

    Those named packed* or four* are damaged as they are, and packed afterwards; four* hold four modalities.
    """
    tally, rng = Tally(), np.random.default_rng(seed)
    for name, data in sound.items():
        axes = 4 if name.startswith("four") else 3
        path = folder / name
        for number in range(rounds):
            broken = damaged(data, rng=rng)
            if name.startswith(("packed", "four")):
                broken = gzip.compress(broken, compresslevel=1, mtime=0)
            path.write_bytes(broken)
            tally.attempt(
                lambda path=path, axes=axes: read_image(path, axes=axes), name=f"{name}, file {number}", path=path,
                wrong=lambda image, axes=axes: "" if is_sound(image, axes=axes) else "no finite volume of few voxels",
            )  # fmt: skip
    return tally


def is_sound(image: Any, *, axes: int) -> bool:
    """Whether an image that was read could be one: its axes, its size, its place."""
    return bool(image.array.ndim == axes and image.array.size <= 2**28 and np.isfinite(image.affine).all())
