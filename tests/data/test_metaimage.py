"""Headers that SimpleITK's own parser misreads: the reader refuses them, or reads the voxels that were written."""

import re

import numpy as np
import pytest
from fuzzing_headers import VOXELS, fuzz_headers, written

from brats_cascade.data.images import ImageError, read_image


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


@pytest.mark.parametrize(
    ("pattern", "new"),
    [
        (rb"ElementSpacing = 1 2 3", b"ElementSpacing = 1 2 1e999"),
        (rb"(ElementSpacing = 1 2|TransformMatrix = 0.\d+)", rb"\g<1>e308"),
        (rb"Offset = 4 -5 6", b"Offset = 4 -1e999 1e999"),
    ],
)
def test_numbers_beyond_all_numbers_are_refused_without_a_warning(tmp_path, pattern, new):
    path = tmp_path / "a.mha"
    path.write_bytes(replaced(written(tmp_path, compressed=False), pattern, new))
    with pytest.raises(ImageError, match=r"its affine .* is singular"):
        read_image(path)


def test_a_key_of_another_program_is_passed_over(tmp_path):
    path = tmp_path / "a.mha"
    path.write_bytes(replaced(written(tmp_path, compressed=True), rb"(?=ElementType)", b"0008|0060 = MR:1\n"))
    np.testing.assert_array_equal(read_image(path).array, VOXELS.transpose())


def test_mutated_headers_are_refused_or_read_as_simpleitk_reads_them(tmp_path):
    tally = fuzz_headers(tmp_path, rounds=300, seed=1)
    assert not tally.faults
    assert min(tally.refused, tally.read) > 60  # of 600
