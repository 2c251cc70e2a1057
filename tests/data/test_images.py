import gzip
import hashlib
import itertools
import re

import nibabel
import numpy as np
import pytest
import SimpleITK

from brats_cascade.data.images import (
    ImageError,
    canonical_spacing,
    from_canonical,
    read_header,
    read_image,
    source_files,
    to_canonical,
    write_labels,
)

AFFINE = np.array([[-1.0, 0, 0, 12], [0, -2.0, 0, 239], [0, 0, 3.0, -7], [0, 0, 0, 1]])
# Oblique, axes swapped: x runs along z, turned by 0.3.
OBLIQUE = np.array(
    [[0.0, 1.5 * np.cos(0.3), -np.sin(0.3), 5], [0.0, 1.5 * np.sin(0.3), np.cos(0.3), -6], [2, 0, 0, 7], [0, 0, 0, 1]]
)


def all_orientations():
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = (np.diag([1.0, 2.0, 3.0]) * signs)[list(axes)]
            yield affine


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "<i2", ">i2", "uint16", "int32", "<f4", ">f8"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_nifti_voxels_and_affine_are_nibabels(tmp_path, rng, suffix, dtype, kind):
    path = tmp_path / f"a{suffix}"
    voxels = rng.integers(0, 200, size=(4, 5, 6)).astype(dtype)
    header = kind.header_class(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(dtype)
    kind(voxels, AFFINE, header).to_filename(path)
    image = read_image(path)
    np.testing.assert_array_equal(image.array, nibabel.load(path).get_fdata())
    np.testing.assert_allclose(image.affine, nibabel.load(path).affine)
    assert image.array.dtype.isnative
    assert image.array.dtype.itemsize <= 4
    assert not image.array.flags.writeable
    assert read_header(path)[0].dtype == np.dtype(dtype)


@pytest.mark.parametrize(("unit", "size"), [("meter", 0.001), ("mm", 1.0), ("micron", 1000.0), ("unknown", 1.0)])
def test_lengths_in_other_units_are_read_in_mm_as_by_simpleitk(tmp_path, rng, unit, size):
    image = nibabel.Nifti1Image(
        rng.integers(0, 5, size=(4, 5, 6)).astype("uint8"), np.diag([size, size, size, 1]) @ AFFINE
    )
    image.header.set_xyzt_units(unit)
    image.to_filename(tmp_path / "like.nii.gz")
    found, other = read_image(tmp_path / "like.nii.gz"), SimpleITK.ReadImage(str(tmp_path / "like.nii.gz"))
    np.testing.assert_allclose(np.sqrt((found.affine[:3, :3] ** 2).sum(axis=0)), other.GetSpacing(), rtol=1e-6)
    np.testing.assert_allclose(np.array([-1, -1, 1]) * found.affine[:3, 3], other.GetOrigin(), rtol=1e-6)
    write_labels(tmp_path / "out.nii.gz", found.array, like=tmp_path / "like.nii.gz")
    before, after = (nibabel.load(tmp_path / name).affine for name in ("like.nii.gz", "out.nii.gz"))
    np.testing.assert_array_equal(after, before)  # in the file's own unit
    np.testing.assert_array_equal(read_image(tmp_path / "out.nii.gz").affine, found.affine)


def test_scale_factors_are_applied(tmp_path):
    image = nibabel.Nifti1Image(np.arange(24, dtype="int16").reshape(2, 3, 4), AFFINE)
    raw = bytearray(image.to_bytes())
    raw[112:120] = np.array([0.5, 10], dtype="<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(raw)
    array = read_image(tmp_path / "a.nii").array
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.arange(24).reshape(2, 3, 4) * 0.5 + 10)


def test_gzip_members_in_a_row_are_one_file(tmp_path, rng):
    voxels = rng.integers(0, 900, size=(4, 5, 6)).astype("int16")
    raw = nibabel.Nifti1Image(voxels, AFFINE).to_bytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(raw[:300]) + gzip.compress(raw[300:]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii.gz").array, voxels)


def test_a_trailing_axis_of_one_is_dropped_and_comes_back_on_writing(tmp_path):
    path = tmp_path / "a.nii.gz"
    nibabel.Nifti1Image(np.zeros((2, 3, 4, 1), dtype="uint8"), AFFINE).to_filename(path)
    assert read_image(path).array.shape == (2, 3, 4)
    write_labels(tmp_path / "b.nii.gz", np.ones((2, 3, 4), dtype="uint8"), like=path)
    assert nibabel.load(tmp_path / "b.nii.gz").shape == (2, 3, 4, 1)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_metaimage_is_what_simpleitk_writes_as_nifti(tmp_path, rng, compressed, dtype):
    image = SimpleITK.GetImageFromArray(rng.integers(0, 200, size=(4, 5, 6)).astype(dtype))
    image.SetSpacing((1, 2, 3))
    image.SetOrigin((4, -5, 6))
    image.SetDirection((0, 1, 0, -1, 0, 0, 0, 0, 1))
    SimpleITK.WriteImage(image, str(tmp_path / "a.mha"), useCompression=compressed)
    SimpleITK.WriteImage(image, str(tmp_path / "a.nii.gz"))
    meta, nifti = read_image(tmp_path / "a.mha"), read_image(tmp_path / "a.nii.gz")
    assert all(source_files(image.path) == image.files and len(image.files) == 1 for image in (meta, nifti))
    np.testing.assert_array_equal(meta.array, nifti.array)
    np.testing.assert_allclose(meta.affine, nifti.affine, atol=1e-5)
    assert read_header(tmp_path / "a.mha")[0].dtype == np.dtype(dtype)


@pytest.mark.parametrize("compressed", [False, True])
def test_voxels_beside_the_header(tmp_path, rng, compressed):
    voxels = rng.integers(0, 200, size=(4, 5, 6)).astype("int16")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(tmp_path / "a.mhd"), useCompression=compressed)
    image = read_image(tmp_path / "a.mhd")
    np.testing.assert_array_equal(image.array, voxels.transpose())
    raw = next(tmp_path.glob("a.*raw"))
    assert [(file.path, file.size, file.sha256) for file in image.files] == [
        (path, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()) for path in (tmp_path / "a.mhd", raw)
    ]
    assert source_files(tmp_path / "a.mhd") == image.files
    raw.unlink()
    with pytest.raises(ImageError, match=r"its voxels should be in 'a\.z?raw' next to it"):
        read_image(tmp_path / "a.mhd")


@pytest.mark.parametrize(
    ("kind", "name"), [("Nifti1Image", "a.nii.gz"), ("Nifti2Image", "a.nii.gz"), ("Nifti1Image", "a.nii")]
)
def test_a_name_may_be_wrong_about_compression(tmp_path, kind, name):
    array = np.arange(24, dtype="int16").reshape(2, 3, 4)
    data = getattr(nibabel, kind)(array, OBLIQUE).to_bytes()
    (tmp_path / name).write_bytes(data if name.endswith(".gz") else gzip.compress(data))
    np.testing.assert_array_equal(read_image(tmp_path / name).array, array)
    write_labels(tmp_path / "labels.nii.gz", array % 3, like=tmp_path / name)
    written = nibabel.load(tmp_path / "labels.nii.gz")
    assert type(written).__name__ == kind
    np.testing.assert_array_equal(np.asarray(written.dataobj), array % 3)
    np.testing.assert_allclose(written.affine, OBLIQUE, atol=1e-5)


@pytest.mark.parametrize("affine", [*all_orientations(), OBLIQUE])
def test_there_and_back_keeps_every_voxel(affine):
    array = np.arange(60).reshape(3, 4, 5)
    volume = to_canonical(array, affine=affine)
    assert np.shares_memory(volume, array)
    np.testing.assert_array_equal(from_canonical(volume, affine=affine), array)
    closest = nibabel.as_closest_canonical(nibabel.Nifti1Image(array, affine, dtype="int64"))
    np.testing.assert_array_equal(volume, np.asarray(closest.dataobj).transpose(2, 1, 0))
    np.testing.assert_allclose(canonical_spacing(affine), closest.header.get_zooms()[::-1], rtol=1e-6)


def test_axes_run_up_forwards_and_to_the_right():
    # One voxel at the left, back, bottom corner, found from its place in mm alone.
    affine = np.array([[-1.0, 0, 0, 3], [0, -1.0, 0, 4], [0, 0, -1.0, 5], [0, 0, 0, 1]])
    array = np.zeros((4, 5, 6))
    place = np.linalg.inv(affine) @ [0, 0, 0, 1]
    array[tuple(place[:3].astype(int))] = 1
    volume = to_canonical(array, affine=affine)
    assert volume.shape == (6, 5, 4)
    assert volume[0, 0, 0] == 1


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE])
def test_written_labels_keep_geometry_and_are_uint8(tmp_path, rng, dtype, affine):
    like = nibabel.Nifti1Image(rng.integers(0, 900, size=(4, 5, 6)).astype("int16").astype(dtype), affine)
    like.header["descrip"] = like.header["aux_file"] = b"as it was"
    like.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"as it was"))
    like.header["cal_max"] = 900
    like.set_qform(affine, code=2)
    like.to_filename(tmp_path / "like.nii.gz")
    labels = rng.integers(0, 5, size=(4, 5, 6)).astype("uint8")
    write_labels(tmp_path / "new" / "out.nii.gz", labels, like=tmp_path / "like.nii.gz")
    out = nibabel.load(tmp_path / "new" / "out.nii.gz")
    before = nibabel.load(tmp_path / "like.nii.gz")
    np.testing.assert_array_equal(np.asarray(out.dataobj), labels)
    np.testing.assert_array_equal(out.affine, before.affine)
    assert out.get_data_dtype() == np.uint8
    assert (out.header["qform_code"], out.header["sform_code"]) == (2, before.header["sform_code"])
    assert out.header["descrip"].item() == b"" and not out.header.extensions  # they may name a patient
    assert out.header["cal_max"] == 0
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["out.nii.gz"]
    first = (tmp_path / "new" / "out.nii.gz").read_bytes()
    write_labels(tmp_path / "new" / "out.nii.gz", labels, like=tmp_path / "like.nii.gz")
    assert (tmp_path / "new" / "out.nii.gz").read_bytes() == first


@pytest.mark.parametrize("like", ["like.mha", "like.nii.gz"])
@pytest.mark.parametrize("out", ["out.mha", "out.nii.gz", "out.nii"])
def test_formats_may_be_crossed(tmp_path, rng, like, out):
    pattern = SimpleITK.GetImageFromArray(np.zeros((6, 5, 4), dtype="int16"))
    pattern.SetSpacing((1, 2, 3))
    pattern.SetOrigin((0, -239, 0))
    pattern.SetDirection((-1, 0, 0, 0, 0, 1, 0, 1, 0))
    SimpleITK.WriteImage(pattern, str(tmp_path / like))
    labels = rng.integers(0, 5, size=(4, 5, 6)).astype("uint8")
    write_labels(tmp_path / out, labels, like=tmp_path / like)
    written = SimpleITK.ReadImage(str(tmp_path / out))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(written).transpose(), labels)
    assert written.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    for name in ("Spacing", "Origin", "Direction"):
        np.testing.assert_allclose(getattr(written, f"Get{name}")(), getattr(pattern, f"Get{name}")(), atol=1e-6)


def test_wrong_uses_of_write_labels(tmp_path):
    nibabel.Nifti1Image(np.zeros((2, 3, 4), dtype="uint8"), AFFINE).to_filename(tmp_path / "a.nii")
    with pytest.raises(ValueError, match=r"\(4, 3, 2\)"):
        write_labels(tmp_path / "b.nii", np.zeros((4, 3, 2), dtype="uint8"), like=tmp_path / "a.nii")
    with pytest.raises(ImageError, match=r"ending in \.nii\.gz, \.nii or \.mha"):
        write_labels(tmp_path / "b.png", np.zeros((2, 3, 4), dtype="uint8"), like=tmp_path / "a.nii")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.nii"]


def nifti_bytes(*, shape=(6, 7, 8), dtype="int16"):
    voxels = np.random.default_rng(0).integers(0, 900, size=shape).astype(dtype)
    return nibabel.Nifti1Image(voxels, AFFINE).to_bytes()


def with_bytes(raw, at, new):
    return raw[:at] + new + raw[at + len(new) :]


def mha_bytes(folder, *, compressed, shape=(6, 7, 8)):
    voxels = np.random.default_rng(0).integers(0, 900, size=shape).astype("int16")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(folder / "sound.mha"), useCompression=compressed)
    return (folder / "sound.mha").read_bytes()


NIFTI = nifti_bytes()
GZ = gzip.compress(NIFTI, mtime=0)
# Beside those of bad_inputs.py, which go through ingest.
BAD_NIFTI = {
    "gzip cut in its header": ("a.nii.gz", GZ[:60], "truncated: expected a header of 348 bytes"),
    "truncated": ("a.nii", NIFTI[:-1], r"truncated: its header declares 672 bytes .*found 671"),
    "more than promised": ("a.nii", NIFTI + b"\0", "found more"),
    "negative shape": ("a.nii", with_bytes(NIFTI, 42, b"\xff\xff"), "impossible shape|is invalid"),
    "unknown type": ("a.nii", with_bytes(NIFTI, 70, b"\x77\x77"), "header is invalid"),
    "offset": ("a.nii", with_bytes(NIFTI, 108, np.float32(7).tobytes()), "puts the voxels at byte 7"),
    "offset is no number": ("a.nii", with_bytes(NIFTI, 108, np.float32("nan").tobytes()), "header is invalid"),
    "two axes": ("a.nii", nifti_bytes(shape=(3, 4)), "expected a 3-D volume"),
    "complex": ("a.nii", nifti_bytes(dtype="complex64"), "expected one number per voxel, found type complex64"),
}


def assert_bad(path, message, capfd):
    with pytest.raises(ImageError, match=message) as caught:
        read_image(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert re.search("copy|export|store|rename|put", text)
    assert "\n" not in text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", BAD_NIFTI)
def test_bad_nifti(tmp_path, capfd, kind):
    name, content, message = BAD_NIFTI[kind]
    (tmp_path / name).write_bytes(content)
    assert_bad(tmp_path / name, message, capfd)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: b"", "0 bytes"),
        (lambda raw: b"junk" * 300, "expected a MetaImage header, found bytes 6a 75"),
        (lambda raw: raw[:40], "expected a MetaImage header"),
        (lambda raw: raw[: raw.index(b"LOCAL") + 6], "truncated"),
        (lambda raw: raw[:-100], "truncated"),
        (lambda raw: raw.replace(b"DimSize = 8 7 6", b"DimSize = 8 7 9"), "truncated: its header declares 1008 bytes"),
        (lambda raw: raw.replace(b"DimSize = 8 7 6", b"DimSize = 8 7 3"), "found more"),
        (lambda raw: raw.replace(b"DimSize = 8 7 6", b"DimSize = 8 x 6"), "header is damaged"),
        (lambda raw: raw.replace(b"DimSize = 8 7 6", b"DimSize = 8 7 -6"), "impossible shape"),
        (lambda raw: raw.replace(b"DimSize = 8 7 6", b"DimSize = 99999 99999 99999"), "impossible shape"),
        (lambda raw: raw.replace(b"MET_SHORT", b"MET_OTHER"), "MET_OTHER"),
        (lambda raw: raw.replace(b"MET_SHORT", b"MET_FLOAT"), "truncated"),
        (lambda raw: raw.replace(b"DimSize", b"NimSize"), "damaged at 'NimSize = 8 7 6'"),
        (lambda raw: raw.replace(b"ElementSpacing = 1 1 1", b"ElementSpacing = 0 1 1"), "its affine .* is singular"),
    ],
)
def test_bad_metaimage(tmp_path, capfd, compressed, damage, message):
    path = tmp_path / "a.mha"
    path.write_bytes(damage(mha_bytes(tmp_path, compressed=compressed)))
    assert_bad(path, message, capfd)


def test_a_file_that_is_not_there(tmp_path, capfd):
    with pytest.raises(ImageError, match="No such file or directory"):
        read_image(tmp_path / "a.nii.gz")
