"""The readers on damaged headers of real scans: the files' own headers in every field but the shape and what follows it."""

import gzip
import re
import zlib

import numpy as np
import pytest
from fuzzing import fuzz

from brats_cascade.data.images import read_image

pytestmark = pytest.mark.real
SHAPE = (6, 7, 8)
VOXELS = np.random.default_rng(0).integers(0, 900, size=SHAPE).astype("<i2").tobytes()


def small_nifti(data: bytes) -> bytes:
    """A real header, with its extensions, before few voxels."""
    whole = gzip.decompress(data)
    header = bytearray(whole[: int(np.frombuffer(whole[108:112], dtype="<f4")[0])])
    header[42:48] = np.array(SHAPE, dtype="<i2").tobytes()
    return bytes(header) + VOXELS


def small_metaimage(data: bytes) -> bytes:
    """A real header before few voxels, compressed as they were."""
    end = data.index(b"LOCAL\n") + len(b"LOCAL\n")
    voxels = zlib.compress(VOXELS)
    header = re.sub(rb"DimSize = [\d ]+", b"DimSize = 6 7 8", data[:end])
    return re.sub(rb"CompressedDataSize = \d+", b"CompressedDataSize = %d" % len(voxels), header) + voxels


@pytest.mark.slow
def test_damaged_headers_are_refused_or_read(real_data, tmp_path, capfd):
    old = sorted((real_data / "brats2013_layout").rglob("*MR_*.mha"))
    new = sorted((real_data / "brats2018").rglob("*_t[12]*.nii.gz"))[::7]
    sound = {f"{number}.mha": small_metaimage(path.read_bytes()) for number, path in enumerate(old)}
    for number, path in enumerate(new):
        small = small_nifti(path.read_bytes())
        sound |= {f"packed{number}.nii.gz": small, f"{number}.nii": small}
    for name, data in sound.items():
        packed = name.startswith("packed")
        (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
        assert read_image(tmp_path / name).array.tobytes(order="F") == VOXELS  # sound before it is damaged
    rounds = -(-500 // len(sound))
    tally = fuzz(tmp_path, sound=sound, rounds=rounds, seed=1)
    assert len(old) == 4 and tally.tried >= 500 and not tally.faults
    assert min(tally.refused, tally.read) > 0.02 * tally.tried
    assert capfd.readouterr() == ("", "")
