import tracemalloc

import numpy as np
import pytest

from brats_cascade import MODALITIES
from brats_cascade.data.preprocess import bounding_box, brain_mask, uncrop, z_score
from brats_cascade.data.standardise import standardise_all
from brats_cascade.params import Recipe


def test_the_brain_is_where_any_modality_is_not_zero():
    first, second = np.zeros((2, 2, 2)), np.zeros((2, 2, 2))
    first[0, 0, 0], second[1, 1, 1] = 3, -2
    mask = brain_mask([first, second])
    assert mask.dtype == bool
    assert np.argwhere(mask).tolist() == [[0, 0, 0], [1, 1, 1]]


def test_the_brain_takes_two_bytes_a_voxel_beside_the_volumes():
    volumes = [np.ones((40, 50, 50), dtype=np.int16) for _ in MODALITIES]
    tracemalloc.start()
    brain_mask(volumes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.2 * volumes[0].size


def test_the_box_is_tight(rng):
    mask = np.zeros((6, 7, 8), dtype=bool)
    mask[2:5, 1:6, 3:4] = rng.random((3, 5, 1)) > 0.3
    mask[2, 1, 3] = mask[4, 5, 3] = True
    where = np.argwhere(mask)
    box = bounding_box(mask)
    assert [axis.start for axis in box] == where.min(axis=0).tolist()
    assert [axis.stop - 1 for axis in box] == where.max(axis=0).tolist()
    assert bounding_box(mask, margin=2) == (slice(0, 7), slice(0, 8), slice(1, 6))
    assert bounding_box(mask[:, :, 3], margin=1) == (slice(1, 6), slice(0, 7))
    assert bounding_box(np.zeros((2, 2, 2), dtype=bool)) == (slice(0, 0),) * 3


def test_z_scores_of_a_closed_form():
    # 0..4 clipped to 1..3: 1 1 2 3 3, mean 2, variance 4/5.
    result = z_score(np.arange(5).clip(1, 3).astype(np.float32))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.array([-1, -1, 0, 1, 1]) / np.sqrt(0.8), rtol=1e-6)


def test_standardised_intensities_are_the_papers_recipe_computed_by_hand(rng):
    volume = rng.integers(1, 32767, size=(9, 10, 11)).astype(np.int16)
    brain = rng.random(volume.shape) > 0.5
    before = volume.copy()
    volumes = {modality: volume for modality in MODALITIES}
    image, _ = standardise_all(
        volumes, sources=dict.fromkeys(MODALITIES, ""), brain=brain, voxels=brain.size, spacing=(1.0, 1.0, 1.0),
        recipe=Recipe(clip=0.01), facts={},
    )  # fmt: skip
    result = image[..., 0]
    # Percentile by its definition: linear interpolation between the sorted values.
    ordered = sorted(volume[brain].astype(float).tolist())
    ends = []
    for share in (0.01, 0.99):
        place = share * (len(ordered) - 1)
        below = int(place)
        ends.append(ordered[below] + (place - below) * (ordered[below + 1] - ordered[below]))
    clipped = np.clip(volume.astype(float), *ends)
    expected = np.where(brain, (clipped - clipped[brain].mean()) / clipped[brain].std(), 0)
    np.testing.assert_allclose(result, expected, atol=2e-6)
    assert (result[~brain] == 0).all()
    assert result.dtype == np.float32
    np.testing.assert_array_equal(volume, before)


def test_no_clipping_keeps_the_extremes():
    values = np.array([0.0] * 99 + [1000.0])
    np.testing.assert_allclose(z_score(values.astype(np.float32))[-1], np.sqrt(99), rtol=1e-5)


@pytest.mark.parametrize("offset", [0, 1e6])
def test_a_constant_modality_is_refused_and_a_faraway_one_is_not(offset):
    with pytest.raises(ValueError, match="constant"):
        z_score(np.full(10, offset, dtype=np.float32))
    wide = z_score((offset + np.linspace(0, 100, 101)).astype(np.float32))
    assert abs(wide.mean(dtype=np.float64)) < 1e-6
    assert abs(wide.std(dtype=np.float64) - 1) < 1e-5


def test_uncrop_undoes_a_crop(rng):
    whole = np.zeros((6, 7, 8), dtype=np.uint8)
    whole[2:5, 1:6, 3:7] = rng.integers(1, 5, size=(3, 5, 4))
    box = bounding_box(whole > 0)
    result = uncrop(whole[box], offset=[axis.start for axis in box], shape=whole.shape)
    np.testing.assert_array_equal(result, whole)
    assert result.dtype == np.uint8
    with pytest.raises(ValueError, match="does not fit"):
        uncrop(whole[box], offset=(4, 1, 3), shape=whole.shape)
