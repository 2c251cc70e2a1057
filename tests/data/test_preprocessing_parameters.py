"""Each parameter of preprocessing against a computation of its own."""

import nibabel
import numpy as np
import pytest
import SimpleITK
from layouts import tiny_volumes, write_layout

from brats_cascade.data.cases import find_cases
from brats_cascade.data.ingest import ingest
from brats_cascade.data.prepare import prepare_case
from brats_cascade.data.preprocess import AXES
from brats_cascade.data.standardise import correct_bias, describe
from brats_cascade.data.store import open_case
from brats_cascade.data.writeback import restore_labels, write_segmentation
from brats_cascade.errors import UserError
from brats_cascade.params import Recipe

SPACED = np.array([[0.0, 1.0, 0, 30], [0, 0, -1.5, -4], [-2.0, 0, 0, 9], [0, 0, 0, 1]])
PLACES = (0, 2, 1)  # x, y, z of the file lie along the canonical axes up, right, forwards


@pytest.fixture
def case(tmp_path):
    images, labels = tiny_volumes(shape=(16, 18, 20))
    write_layout(tmp_path / "in", "brats2017", images=images, labels=labels, affine=SPACED)
    return find_cases(tmp_path / "in")[0]


def raw(case, modality):
    image = nibabel.as_closest_canonical(nibabel.load(case.images[modality]))
    return np.asarray(image.dataobj).T.astype(np.float32)


def box_of(prepared):
    return tuple(slice(a, a + n) for a, n in zip(prepared.meta["offset"], prepared.brain.shape, strict=True))


def z(values):
    return (values - values.mean()) / values.std()


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["t1", "t1c", "t2"])
def test_n4_is_what_simpleitk_gives_when_called_by_hand(case, modality):
    prepared = prepare_case(case, recipe=Recipe(clip=0.05, n4=True))
    brain = prepared.brain
    volume = np.where(brain, raw(case, modality)[box_of(prepared)], 0)
    volume = np.where(brain, volume.clip(*np.quantile(volume[brain], [0.05, 0.95])), 0).astype(np.float32)
    if modality != "t2":  # the paper corrects T1 and T1c only
        image, mask = SimpleITK.GetImageFromArray(volume), SimpleITK.GetImageFromArray(brain.astype("uint8"))
        for entry in (image, mask):
            entry.SetSpacing(prepared.meta["spacing"][::-1])
        factors = [min(4, size // 4) for size in volume.shape[::-1]]
        corrector = SimpleITK.N4BiasFieldCorrectionImageFilter()
        corrector.Execute(SimpleITK.Shrink(image, factors), SimpleITK.Shrink(mask, factors))
        field = SimpleITK.Cast(SimpleITK.Exp(corrector.GetLogBiasFieldAsImage(image)), SimpleITK.sitkFloat32)
        corrected = SimpleITK.GetArrayFromImage(image / field)
        assert np.abs(corrected[brain] / volume[brain] - 1).max() > 0.01  # it did something
        volume = corrected
    channel = ("flair", "t1", "t1c", "t2").index(modality)
    np.testing.assert_allclose(prepared.image[..., channel][brain], z(volume[brain].astype(float)), atol=2e-4)
    assert (prepared.image[~brain] == 0).all()
    assert (
        prepare_case(case, recipe=Recipe(clip=0.05)).meta["facts"] == prepared.meta["facts"]
    )  # facts are about the files


def test_n4_takes_a_smooth_field_away():
    x = np.linspace(-1, 1, 40)
    field = np.exp(0.4 * x)[:, None, None] * np.ones((40, 36, 32))
    rng = np.random.default_rng(0)
    volume = (200 + 5 * rng.standard_normal(field.shape)) * field
    brain = np.ones(field.shape, dtype=bool)
    before = volume.copy()
    corrected = correct_bias(volume, brain=brain, spacing=(1, 1, 1))
    np.testing.assert_array_equal(volume, before)
    assert corrected.dtype == np.float32
    assert corrected.std() / corrected.mean() < 0.35 * volume.std() / volume.mean()


def test_z_score_over_the_volume(case):
    prepared = prepare_case(case, recipe=Recipe(clip=0.02, zscore="volume"))
    whole = raw(case, "flair")
    brain = np.zeros(whole.shape, dtype=bool)
    brain[box_of(prepared)] = prepared.brain
    assert not brain.all()
    clipped = np.where(brain, whole.clip(*np.quantile(whole[brain], [0.02, 0.98])), 0)
    np.testing.assert_allclose(prepared.image[prepared.brain][:, 0], z(clipped.astype(float))[brain], atol=1e-5)
    assert (prepared.image[~prepared.brain] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("zscore", ["brain", "volume"])
def test_a_constant_modality_is_refused_either_way(tmp_path, zscore):
    images, labels = tiny_volumes()
    images["t2"] = np.where(images["t2"] > 0, 77, 0).astype("int16")
    write_layout(tmp_path, "brats2017", images=images, labels=labels)
    with pytest.raises(UserError, match=r"t2: the intensities are constant \(77\)"):
        prepare_case(find_cases(tmp_path)[0], recipe=Recipe(clip=0.01, zscore=zscore, n4=True))


def test_a_single_slice_has_no_n4_and_is_refused_in_one_line(tmp_path):
    images, labels = tiny_volumes()
    single = {name: volume[:, :, 4:5] for name, volume in images.items()}
    write_layout(tmp_path, "brats2017", images=single, labels=labels[:, :, 4:5])
    [found] = find_cases(tmp_path)
    assert prepare_case(found, recipe=Recipe(clip=0.01)).image.shape[0] == 1
    with pytest.raises(UserError, match=r"t1: N4 fails for a brain of 1 x \d+ x \d+ voxels"):
        prepare_case(found, recipe=Recipe(clip=0.01, n4=True))


@pytest.mark.parametrize("axis", AXES)
def test_slices_follow_the_axis_and_come_back(case, tmp_path, axis):
    axial, turned = (
        prepare_case(case, recipe=Recipe(clip=0.01)),
        prepare_case(case, recipe=Recipe(clip=0.01, axis=axis)),
    )
    order = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}[axis]
    np.testing.assert_array_equal(turned.image, np.moveaxis(axial.image, order, (0, 1, 2)))
    np.testing.assert_array_equal(turned.labels, np.transpose(axial.labels, order))
    np.testing.assert_array_equal(turned.brain, np.transpose(axial.brain, order))
    for key in ("shape", "offset", "spacing"):
        assert turned.meta[key] == [axial.meta[key][place] for place in order]
    assert turned.meta["axis"] == axis and turned.meta["facts"] == axial.meta["facts"]
    truth = np.asarray(nibabel.load(case.truth).dataobj)
    np.testing.assert_array_equal(restore_labels(turned.labels, turned.meta), truth)
    write_segmentation(tmp_path / "out.nii.gz", turned.labels, case=case, meta=turned.meta)
    np.testing.assert_array_equal(np.asarray(nibabel.load(tmp_path / "out.nii.gz").dataobj), truth)
    assert turned.image.flags.c_contiguous


def test_coronal_slices_run_from_back_to_front(tmp_path):
    images, labels = tiny_volumes()
    labels[:] = 0
    labels[5, 9, 4] = 2  # the affine of BraTS: y runs backwards
    write_layout(tmp_path, "brats2017", images=images, labels=labels)
    prepared = prepare_case(find_cases(tmp_path)[0], recipe=Recipe(clip=0.01, axis="coronal"))
    ((slice_, row, column),) = np.argwhere(prepared.labels) + prepared.meta["offset"]
    assert (slice_, row, column) == (14 - 1 - 9, 4, 12 - 1 - 5)


@pytest.mark.slow
def test_another_recipe_makes_the_store_again(case, tmp_path):
    for number, recipe in enumerate(({}, {"zscore": "volume"}, {"axis": "coronal"}, {"n4": True}, {})):
        ingest([case], root=tmp_path / "store", kept=tmp_path / "kept", recipe=Recipe(clip=0.01, **recipe), workers=1)
        stored = open_case(tmp_path / "store" / case.name)
        expected = prepare_case(case, recipe=Recipe(clip=0.01, **recipe))
        np.testing.assert_array_equal(stored.image, expected.image)
        assert {key: stored.meta[key] for key in ("clip", "n4", "zscore", "axis")} == {
            **Recipe(clip=0.01).as_dict(),
            **recipe,
        }, number


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", ">i2"])
def test_statistics_are_numpys(rng, dtype):
    shares = (0, 0.01, 0.05, 0.5, 0.95, 0.99, 1)
    for size in (1, 2, 3, 10, 1001):
        values = rng.integers(0, 250, size=size).astype(dtype)
        found = describe(values, shares=shares)
        assert list(found.quantiles) == np.quantile(values.astype(np.float32), shares).tolist()
        assert (found.low, found.high) == (values.min(), values.max())
        assert found.mean == pytest.approx(values.astype(float).mean())
        assert found.deviation == pytest.approx(values.astype(float).std(), abs=1e-9)
    wide = np.array([-(2**31), 5, 2**31 - 1], dtype="int32")
    assert describe(wide, shares=(0.5,)).quantiles == (5.0,)
    assert describe(np.array([-32768, 32767], dtype="int16"), shares=(0, 1)).quantiles == (-32768.0, 32767.0)
