"""Headers that SimpleITK's own parser misreads: the reader refuses them, or reads the voxels that were written."""

import re

import numpy as np
import pytest
import SimpleITK

from brats_cascade.data.images import ImageError, read_image

VOXELS = np.random.default_rng(0).integers(-900, 900, size=(4, 5, 6)).astype("int16")  # slices, rows, columns
TURN = (0.6, -0.8, 0.0, 0.8, 0.6, 0.0, 0.0, 0.0, 1.0)


def written(folder, *, compressed, name="sound.mha"):
    image = SimpleITK.GetImageFromArray(VOXELS)
    image.SetSpacing((1, 2, 3))
    image.SetOrigin((4, -5, 6))
    image.SetDirection(TURN)
    SimpleITK.WriteImage(image, str(folder / name), useCompression=compressed)
    return (folder / name).read_bytes()


def replaced(raw, pattern, new):
    changed = re.sub(pattern, new, raw, count=1)
    assert changed != raw
    return changed


@pytest.mark.parametrize(
    ("pattern", "new"),
    [
        (rb"CompressedDataSize = \d+\n", b""),
        (rb"CompressedDataSize = \d+", b"CompressedDataSize = 0"),
        (rb"CompressedDataSize = \d+", b"CompressedDataSize = 60"),
        (rb"CompressedData = True", b"CompressedData = 1"),
    ],
)
def test_compressed_voxels_need_no_declared_size(tmp_path, pattern, new):
    path = tmp_path / "a.mha"
    path.write_bytes(replaced(written(tmp_path, compressed=True), pattern, new))
    np.testing.assert_array_equal(read_image(path).array, VOXELS.transpose())


@pytest.mark.parametrize(
    ("pattern", "new"),
    [
        (rb"(?=ElementType)", b"HeaderSize : 10\n"),
        (rb"(?=ElementType)", b"HeaderSize : 10 = 2\n"),
        (rb"(?=ElementType)", b"HeaderSize = 10\n"),
        (rb"(?=ElementType)", b"NDims : 336\n"),
        (rb"(?=ElementType)", b"NDims = 3\n"),
        (rb"(?=ElementType)", b"Origin = 1 2 3\n"),
        (rb"TransformMatrix", b"TransformMatrx"),
        (rb"ElementSpacing", b"elementspacing"),
        (rb"ElementSpacing = 1 2 3", b"ElementSpacing = 1 2 -3"),
        (rb"ElementSpacing = 1 2 3", b"ElementSpacing = 1 2"),
        (rb"DimSize = 6 5 4", b"DimSize = 6 5 0x4"),
        (rb"(?=ElementType)", b"CompressedData : True\n"),
        (rb"Offset = 4 -5 6", b"Offset = 4 \x855 6"),
        (rb"DimSize = 6 5 4", b"DimSize = 6\xa05 4"),
        (rb"ElementType = ", b"ElementType =\x1c"),
        (rb"ObjectType = ", b"ObjectType =\x00"),
        (rb"= LOCAL", b"= LIST"),
        (rb"= LOCAL", b"= /etc/hostname"),
        (rb"= LOCAL", b"= ../other.raw"),
    ],
)
def test_headers_that_parsers_read_differently_are_refused(tmp_path, pattern, new):
    (tmp_path / "LIST").write_bytes(VOXELS.tobytes())
    path = tmp_path / "a.mha"
    path.write_bytes(replaced(written(tmp_path, compressed=False), pattern, new))
    with pytest.raises(ImageError, match=r"MetaImage header|expected a binary|should be in"):
        read_image(path)


def test_a_key_of_another_program_is_passed_over(tmp_path):
    path = tmp_path / "a.mha"
    path.write_bytes(replaced(written(tmp_path, compressed=True), rb"(?=ElementType)", b"0008|0060 = MR:1\n"))
    np.testing.assert_array_equal(read_image(path).array, VOXELS.transpose())


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
            words = [
                b"1",
                b"0",
                b"-1",
                b"True",
                b"False",
                b"336",
                b"1e3",
                b"MET_USHORT",
                b"MET_FLOAT",
                b"LIST",
                b"2 3 4",
            ]
            lines[number] = lines[number].rpartition(b" ")[0] + b" " + words[rng.integers(0, len(words))]
        else:
            line = bytearray(lines[number] or b" ")
            line[rng.integers(0, len(line))] = (
                rng.integers(0, 256) if kind == 4 else b"0123456789.-"[rng.integers(0, 12)]
            )
            lines[number] = bytes(line)
        header = b"\n".join(lines)
    return header + raw[end:]


def test_mutated_headers_are_refused_or_read_as_simpleitk_reads_them(tmp_path):
    rng = np.random.default_rng(1)
    path = tmp_path / "a.mha"
    refused = read = 0
    for compressed in (False, True):
        raw = written(tmp_path, compressed=compressed)
        for _ in range(1000):
            path.write_bytes(mutated(raw, rng))
            try:
                image = read_image(path)
            except ImageError:
                refused += 1
                continue
            read += 1
            assert len(image.files) == 1
            if compressed:  # SimpleITK believes the declared size: it gets the right one
                sized = re.sub(rb"CompressedDataSize.*\n", b"", path.read_bytes())
                size = len(raw) - raw.index(b"LOCAL") - 6
                path.write_bytes(
                    sized.replace(b"ElementDataFile", b"CompressedDataSize = %d\nElementDataFile" % size, 1)
                )
            theirs = SimpleITK.ReadImage(str(path))
            np.testing.assert_array_equal(image.array, SimpleITK.GetArrayFromImage(theirs).transpose())
            place = theirs.TransformIndexToPhysicalPoint((3, 2, 1))
            mine = image.affine @ [3, 2, 1, 1]
            np.testing.assert_allclose(mine[:3] * [-1, -1, 1], place, rtol=1e-5, atol=1e-5)
    assert refused > 600 and read > 300
