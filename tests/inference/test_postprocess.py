"""Small components go, flat ones near the skull go, the largest stays."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from brats_cascade.inference.postprocess import (
    OFF,
    Components,
    Thresholds,
    all_thresholds,
    brain_depth,
    find_components,
    is_small,
    remove_components,
)
from brats_cascade.labels import EDEMA, ENHANCING, NECROSIS, NON_ENHANCING


def _labels() -> np.ndarray:
    labels = np.zeros((6, 12, 12), np.uint8)
    labels[1:5, 1:6, 1:6] = 2  # 100 voxels, with a core inside
    labels[2:4, 2:5, 2:5] = 4
    labels[1, 9:11, 9:11] = 1  # 4 voxels
    labels[4, 9:12, 9:12] = 2  # 9 voxels
    return labels


def _cleaned(labels: np.ndarray, *, spacing: tuple[float, ...], thresholds: Thresholds) -> np.ndarray:
    return remove_components(labels, brain=np.ones(labels.shape, bool), spacing=spacing, thresholds=thresholds)


def test_components_below_the_volume_go() -> None:
    labels = _labels()
    before = labels.copy()
    cleaned = _cleaned(labels, spacing=(1, 1, 2), thresholds=Thresholds(10))  # voxels of 2 mm3: 8, 18, 200
    assert (cleaned[1, 9:11, 9:11] == 0).all()
    assert (cleaned[4, 9:12, 9:12] == 2).all()
    np.testing.assert_array_equal(cleaned[:, :7, :7], labels[:, :7, :7])
    np.testing.assert_array_equal(labels, before)


def test_the_largest_component_always_stays() -> None:
    cleaned = _cleaned(_labels(), spacing=(1, 1, 1), thresholds=Thresholds(1e9))
    assert (cleaned > 0).sum() == 100


def test_corners_connect_and_zero_keeps_all() -> None:
    labels = _labels()
    labels[5, 6, 6] = 2  # touches the large one at a corner only
    assert _cleaned(labels, spacing=(1, 1, 1), thresholds=Thresholds(5))[5, 6, 6] == 2
    np.testing.assert_array_equal(_cleaned(labels, spacing=(1, 1, 1), thresholds=Thresholds(0)), labels)


@pytest.mark.parametrize("skull", [0.0, 1e-9])  # two ways through the code
def test_a_component_as_large_as_the_least_stays_and_of_two_the_smaller_goes(skull: float) -> None:
    labels = _labels()
    labels[1, 9:11, 9:11] = 0  # leaves the components of 100 and 9 voxels
    before = labels.copy()
    for least, small in ((9, True), (9.5, False)):
        settings = {"brain": np.ones(labels.shape, bool), "spacing": (1, 1, 1), "thresholds": Thresholds(least, skull)}
        cleaned = remove_components(labels, **settings)
        assert cleaned.dtype == np.uint8 and cleaned[4, 9:12, 9:12].all() == small
        np.testing.assert_array_equal(cleaned[:, :7], labels[:, :7])
        np.testing.assert_array_equal(labels, before)


def test_the_least_volume_is_in_mm3_from_1_on_and_a_share_below() -> None:
    volumes = np.array([7.0, 3.0, 3.5, 0.9])
    assert is_small(volumes, least=1).tolist() == [False, False, False, True]
    assert is_small(volumes, least=0.5).tolist() == [False, True, False, True]
    assert is_small(volumes, least=9).tolist() == [False, True, True, True]
    assert is_small(np.array([0.2, 0.6, 0.4]), least=0.5).tolist() == [True, False, False]
    assert is_small(np.zeros(0), least=0.5).tolist() == []


def test_small_components_of_core_and_enhancing_keep_a_label_of_the_region_around_them() -> None:
    """Enhancing tumour of 27, 8 and 1 voxels, the last in the smaller of two cores (36 and 8 voxels), all in one edema."""
    labels = np.zeros((5, 20, 9), np.uint8)
    labels[:, 1:19, 1:8] = EDEMA
    labels[1:4, 2:6, 2:5] = NON_ENHANCING
    labels[1:4, 2:5, 2:5] = ENHANCING
    labels[1:3, 10:12, 2:4] = NECROSIS
    labels[1, 10, 2] = ENHANCING
    labels[1:3, 14:16, 5:7] = ENHANCING
    settings = {"brain": np.ones(labels.shape, bool), "spacing": (1, 1, 2)}

    def cleaned(least: float) -> np.ndarray:
        return remove_components(labels, thresholds=Thresholds(inner_component=least), **settings)

    np.testing.assert_array_equal(cleaned(0), labels)
    np.testing.assert_array_equal(cleaned(2), labels)  # no voxel is smaller than 2 mm3
    expected = labels.copy()
    expected[1, 10, 2] = NECROSIS
    np.testing.assert_array_equal(cleaned(3), expected)
    np.testing.assert_array_equal(cleaned(0.2), expected)  # 8 of 36 and of 27 voxels are more than a fifth
    expected[1:3, 10:12, 2:4] = expected[1:3, 14:16, 5:7] = EDEMA  # 16 of 72 mm3
    np.testing.assert_array_equal(cleaned(0.25), expected)
    np.testing.assert_array_equal(cleaned(1000), expected)  # the largest core and its enhancing part stay


def test_a_component_that_was_removed_is_not_the_largest_of_an_inner_region() -> None:
    labels = np.zeros((3, 12, 12), np.uint8)
    labels[:, :6, :6] = EDEMA  # 108 voxels with a core of 4
    labels[1, 1:3, 1:3] = NECROSIS
    labels[:, 9:, 9:] = NECROSIS  # 27 voxels, all core
    settings = {"brain": np.ones(labels.shape, bool), "spacing": (1, 1, 1)}
    found = remove_components(labels, thresholds=Thresholds(0.3, inner_component=0.5), **settings)
    assert (found[1, 1:3, 1:3] == NECROSIS).all() and not found[:, 9:, 9:].any()


def test_distances_are_measured_for_two_components_and_none_has_none() -> None:
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[4, 4, 4] = labels[0, 8, 8] = 1
    found = find_components(labels, brain=np.ones(labels.shape, bool), spacing=(1, 1, 1))
    assert found.distances.tolist() == [1, 5]
    none = find_components(np.zeros_like(labels), brain=np.ones(labels.shape, bool), spacing=(1, 1, 1))
    assert [len(each) for each in (none.volumes, none.distances, none.flatness)] == [0, 0, 0]


def test_two_voxels_are_as_flat_as_the_brick_they_make() -> None:
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[1, 1, :2] = 1  # 1 x 2 x 0.5 mm each
    found = find_components(labels, brain=labels == 0, spacing=(1, 2, 0.5))
    np.testing.assert_allclose(found.flatness, [1.0])


def test_at_its_threshold_a_component_stays() -> None:
    found = Components(
        parts=np.zeros(0),
        volumes=np.array([1000.0, 100, 100, 100, 400, 50, 49]),
        distances=np.array([1.0, 1, 6, 1, 1, 9, 9]),
        flatness=np.array([0.1, 0.1, 0.1, 0.5, 0.1, 0.9, 0.9]),
    )
    thresholds = Thresholds(min_component=50, skull_distance=6, flatness=0.5, skull_volume=400)
    assert found.removed(thresholds).tolist() == [False, True, False, False, False, False, True]


def test_a_rule_in_words() -> None:
    assert str(Thresholds(1)) == "removes components below 1 mm3"
    assert str(Thresholds(50, skull_distance=6)) == (
        "removes components below 50 mm3 and blobs within 6 mm of the brain's edge, flatter than 0.5 and below 5000 mm3"
    )


SKULL = Thresholds(min_component=0, skull_distance=6, flatness=0.5, skull_volume=400)


def _head() -> tuple[np.ndarray, np.ndarray]:
    """A ball of brain of radius 20 with a hole; a tumour, a plate under the skull, a ball there, a plate deep inside."""
    s, r, c = np.ogrid[:44, :44, :44]
    brain = (s - 22) ** 2 + (r - 22) ** 2 + (c - 22) ** 2 < 20**2
    brain[21:24, 21:24, 21:24] = False
    labels = np.zeros(brain.shape, np.uint8)
    labels[18:27, 8:17, 18:27] = 2  # the tumour, 729 voxels
    labels[4:6, 18:27, 18:27] = 1  # plate at the top of the skull: 162 voxels
    labels[36:40, 20:24, 20:24] = 1  # cube near the skull: 64 voxels
    labels[22:24, 26:34, 18:26] = 1  # plate deep inside: 128 voxels
    return labels, brain


def test_only_flat_small_blobs_near_the_skull_go() -> None:
    labels, brain = _head()
    cleaned = remove_components(labels, brain=brain, spacing=(1, 1, 1), thresholds=SKULL)
    assert not cleaned[4:6].any()
    expected = labels.copy()
    expected[4:6] = 0
    np.testing.assert_array_equal(cleaned, expected)


@pytest.mark.parametrize(
    "change", [{"skull_distance": 0}, {"skull_volume": 100}, {"flatness": 0.1}, {"skull_distance": 1}]
)
def test_each_condition_is_needed(change) -> None:
    labels, brain = _head()
    thresholds = replace(SKULL, **change)
    np.testing.assert_array_equal(
        remove_components(labels, brain=brain, spacing=(1, 1, 1), thresholds=thresholds), labels
    )


def test_the_rules_two_parts_add_up_and_the_largest_stays() -> None:
    labels, brain = _head()
    cleaned = remove_components(labels, brain=brain, spacing=(1, 1, 1), thresholds=replace(SKULL, min_component=100))
    assert sorted(np.unique(cleaned)) == [0, 1, 2]
    assert (cleaned == 1).sum() == 128
    alone = np.where(labels[:8].any(axis=(1, 2))[0], labels, 0).astype(np.uint8)
    alone[8:] = 0
    np.testing.assert_array_equal(remove_components(alone, brain=brain, spacing=(1, 1, 1), thresholds=SKULL), alone)


def test_components_are_measured_in_millimetres() -> None:
    labels = np.zeros((30, 30, 30), np.uint8)
    labels[5:9, 10:20, 10:20] = 2
    labels[20, 20, 20] = 4
    found = find_components(labels, brain=np.ones(labels.shape, bool), spacing=(3, 1, 1))
    np.testing.assert_allclose(found.volumes, [1200, 3])
    np.testing.assert_allclose(
        found.flatness, [1.0, 1 / 1.0], atol=0.25
    )  # 12 x 10 x 10 mm; a brick of 3 x 1 x 1 is a rod
    plate = find_components(
        np.pad(np.ones((1, 20, 20), np.uint8), 5), brain=np.ones((11, 30, 30), bool), spacing=(1, 1, 1)
    )
    # a brick of 1 x 20 x 20: standard deviations of a uniform distribution, their ratio
    np.testing.assert_allclose(plate.flatness, [1 / 20], atol=1e-6)


def test_depth_is_the_distance_to_the_outside_and_holes_are_inside() -> None:
    brain = np.zeros((9, 9, 9), bool)
    brain[1:8, 1:8, 1:8] = True
    brain[4, 4, 4] = False
    depth = brain_depth(brain, spacing=(2, 1, 1))
    assert depth[4, 4, 4] == 4
    assert depth[1, 4, 4] == 2 and depth[4, 1, 4] == 1 and depth[0, 0, 0] == 0
    whole = brain_depth(np.ones((3, 3, 3), bool), spacing=(1, 1, 1))
    assert whole[1, 1, 1] == 2  # beyond the volume's edge is outside


def test_rules_are_listed_once_each_the_mildest_first() -> None:
    candidates = {"min_component": (50, 0), "skull_distance": (0, 6), "flatness": (0.3, 0.6), "skull_volume": (1000,)}
    rules = all_thresholds(candidates)
    assert len(rules) == 2 * (1 + 2)
    assert rules[0].as_dict() == OFF.as_dict() == {name: 0 for name in OFF.as_dict()}
    assert str(rules[0]) == "removes nothing" and "below 50 mm3" in str(rules[-1])


def _components(labels: np.ndarray) -> list[np.ndarray]:
    """The components of the complete tumour as masks, 26 neighbours, by SciPy alone."""
    parts, count = ndimage.label(labels > 0, structure=np.ones((3, 3, 3)))
    return [parts == number for number in range(1, count + 1)]


@pytest.mark.parametrize("share", [0.02, 0.3, 0.999])
@pytest.mark.parametrize("skull", [0.0, 1e-9])  # two ways through the code
def test_a_minimum_below_one_is_a_share_of_the_largest_component(rng, share: float, skull: float) -> None:
    labels = np.where(ndimage.gaussian_filter(rng.normal(size=(9, 40, 40)), 1.2) > 0.12, 2, 0).astype(np.uint8)
    labels[2:6, 4:14, 4:14] = 4
    parts = _components(labels)
    expected, largest = labels.copy(), max(part.sum() for part in parts)
    for part in parts:
        if part.sum() < share * largest:
            expected[part] = 0
    assert 1 <= len(_components(expected)) < len(parts)
    found = remove_components(
        labels, brain=np.ones(labels.shape, bool), spacing=(2, 1, 1), thresholds=Thresholds(share, skull)
    )
    np.testing.assert_array_equal(found, expected)


def test_a_share_of_nothing_is_nothing() -> None:
    empty = np.zeros((3, 4, 4), np.uint8)
    for skull in (0.0, 5.0):
        thresholds = Thresholds(0.02, skull)
        assert not remove_components(empty, brain=empty == 0, spacing=(1, 1, 1), thresholds=thresholds).any()


def test_of_equal_rules_the_one_that_moves_the_operating_point_least_comes_first() -> None:
    candidates = {"min_component": (50, 0.02, 0), "operating_point": (-1.5, 0, 0.5)}
    found = [(rule.operating_point, rule.min_component) for rule in all_thresholds(candidates)]
    assert found == [(point, least) for point in (0, 0.5, -1.5) for least in (0, 0.02, 50)]
    assert str(Thresholds(0.02, operating_point=-1.5)) == (
        "adds -1.5 to the score of non-tumour and removes components below 0.02 of the largest"
    )
    assert str(Thresholds(50, inner_component=0.05)) == (
        "removes components below 50 mm3 and relabels components of core and enhancing tumour below 0.05 of the largest"
    )
    assert str(Thresholds(inner_component=4)) == "relabels components of core and enhancing tumour below 4 mm3"
    assert str(Thresholds(1, inner_component=4, operating_point=-1)) == (
        "adds -1 to the score of non-tumour, removes components below 1 mm3 and relabels components of core and enhancing "
        "tumour below 4 mm3"
    )
    assert str(Thresholds(operating_point=1)) == "adds 1 to the score of non-tumour and removes nothing"
