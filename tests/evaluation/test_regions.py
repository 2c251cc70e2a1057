import math
import tracemalloc

import numpy as np
import pytest
import SimpleITK
from sklearn.metrics import f1_score, precision_score, recall_score

from brats_cascade.evaluation.regions import NO_MATCH_MM, SCORES, hausdorff95, score_case
from brats_cascade.labels import REGIONS

SPACING = (2.0, 1.0, 0.5)


def random_labels(*, seed, shape=(6, 7, 8)):
    generator = np.random.default_rng(seed)
    return generator.choice(5, size=shape, p=[0.6, 0.1, 0.1, 0.1, 0.1]).astype(np.uint8)


def naive_hd95(truth, prediction, *, spacing):
    """Every surface voxel against every other, by plain loops."""

    def surface(mask):
        points = []
        for point in np.argwhere(mask):
            for axis in range(3):
                for step in (-1, 1):
                    there = point.copy()
                    there[axis] += step
                    outside = not 0 <= there[axis] < mask.shape[axis]
                    if outside or not mask[tuple(there)]:
                        points.append(tuple(point * np.array(spacing)))
        return sorted(set(points))

    def directed(a, b):
        return np.percentile([min(math.dist(p, q) for q in b) for p in a], 95)

    a, b = surface(truth), surface(prediction)
    return max(directed(a, b), directed(b, a))


def itk_hd95(truth, prediction, *, spacing):
    """SimpleITK's own contour and distance map; a border of air, since its contours stop at the image's edge."""
    images = []
    for mask in (truth, prediction):
        image = SimpleITK.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
        image.SetSpacing(tuple(reversed(spacing)))
        images.append(image)
    contours = [SimpleITK.LabelContour(image, fullyConnected=False) for image in images]
    fields = [
        np.sqrt(  # here, because the map is float32: squares of these voxel sizes are exact in it, their roots are not
            np.abs(
                SimpleITK.GetArrayFromImage(
                    SimpleITK.SignedMaurerDistanceMap(c, squaredDistance=True, useImageSpacing=True)
                ).astype(float)
            )
        )
        for c in contours
    ]
    masks = [SimpleITK.GetArrayFromImage(c) > 0 for c in contours]
    return max(np.percentile(fields[1][masks[0]], 95), np.percentile(fields[0][masks[1]], 95))


@pytest.mark.parametrize("seed", range(4))
def test_overlap_scores_agree_with_scikit_learn(seed):
    truth, prediction = random_labels(seed=seed), random_labels(seed=seed + 100)
    scores = score_case(truth, prediction, spacing=SPACING)
    for region, labels in REGIONS.items():
        t, p = np.isin(truth, labels).ravel(), np.isin(prediction, labels).ravel()
        assert scores[f"{region}_dice"] == pytest.approx(f1_score(t, p), abs=1e-6)
        assert scores[f"{region}_ppv"] == pytest.approx(precision_score(t, p), abs=1e-6)
        assert scores[f"{region}_sensitivity"] == pytest.approx(recall_score(t, p), abs=1e-6)
        assert scores[f"{region}_specificity"] == pytest.approx(recall_score(~t, ~p), abs=1e-6)
        assert scores[f"{region}_truth_cm3"] == pytest.approx(t.sum() * 1.0 / 1000)


@pytest.mark.parametrize("seed", range(4))
def test_hd95_agrees_with_simpleitk_and_a_naive_loop(seed):
    truth, prediction = random_labels(seed=seed), random_labels(seed=seed + 100)
    truth[:, :3] = 0  # so that distances are not all nil
    scores = score_case(truth, prediction, spacing=SPACING)
    for region, labels in REGIONS.items():
        t, p = np.isin(truth, labels), np.isin(prediction, labels)
        assert scores[f"{region}_hd95"] == pytest.approx(naive_hd95(t, p, spacing=SPACING), abs=1e-6)
        assert scores[f"{region}_hd95"] == pytest.approx(itk_hd95(t, p, spacing=SPACING), abs=1e-6)


def test_two_boxes_in_closed_form():
    truth, prediction = np.zeros((12, 12, 12), np.uint8), np.zeros((12, 12, 12), np.uint8)
    truth[2:6, 2:6, 2:6] = 4
    prediction[2:6, 2:6, 5:9] = 4  # the same box, 3 voxels of 0.5 mm to the right; 16 of 64 voxels overlap
    scores = score_case(truth, prediction, spacing=SPACING)
    for region in REGIONS:
        assert scores[f"{region}_dice"] == 16 / 64
        assert scores[f"{region}_ppv"] == scores[f"{region}_sensitivity"] == 16 / 64
        assert scores[f"{region}_specificity"] == (12**3 - 64 - 48) / (12**3 - 64)
        assert scores[f"{region}_hd95"] == 1.5
        assert scores[f"{region}_predicted_cm3"] == pytest.approx(0.064)


def test_regions_are_made_of_the_right_labels():
    truth = np.arange(5, dtype=np.uint8).reshape(1, 1, 5)
    prediction = np.zeros_like(truth)
    scores = score_case(truth, prediction, spacing=(10, 10, 10))
    assert [scores[f"{region}_truth_cm3"] for region in ("complete", "core", "enhancing")] == [4, 3, 1]


def test_both_empty_is_perfect_and_one_empty_is_the_worst():
    empty, full = np.zeros((3, 4, 5), np.uint8), np.zeros((3, 4, 5), np.uint8)
    full[1, 1, 1] = 4
    same = score_case(empty, empty, spacing=SPACING)
    assert {name: same[f"core_{name}"] for name in SCORES} == {
        "dice": 1, "ppv": 1, "sensitivity": 1, "specificity": 1, "hd95": 0, "truth_cm3": 0, "predicted_cm3": 0,
    }  # fmt: skip
    for truth, prediction in ((empty, full), (full, empty)):
        scores = score_case(truth, prediction, spacing=SPACING)
        assert [scores[f"complete_{name}"] for name in ("dice", "ppv", "sensitivity")] == [0, 0, 0]
        assert scores["complete_hd95"] == NO_MATCH_MM == pytest.approx(math.sqrt(240**2 + 240**2 + 155**2), abs=1e-4)


def test_specificity_is_1_where_all_is_tumour():
    full = np.full((2, 2, 2), 4, np.uint8)
    assert score_case(full, full, spacing=SPACING)["enhancing_specificity"] == 1


def test_equal_masks_are_at_distance_nought_also_at_the_edge():
    mask = np.ones((3, 4, 5), bool)
    assert hausdorff95(mask, mask, spacing=SPACING) == 0.0


def test_a_mask_and_the_arguments_stay_as_they_were():
    truth, prediction = random_labels(seed=1), random_labels(seed=2)
    before = truth.copy(), prediction.copy()
    score_case(truth, prediction, spacing=SPACING)
    assert np.array_equal(truth, before[0]) and np.array_equal(prediction, before[1])


@pytest.mark.parametrize(
    ("truth", "prediction", "spacing", "message"),
    [
        (np.zeros((2, 2, 2), int), np.zeros((2, 2, 3), int), SPACING, r"received \(2, 2, 2\) and \(2, 2, 3\)"),
        (np.zeros((2, 2), int), np.zeros((2, 2), int), SPACING, "slices, rows, columns"),
        (np.full((2, 2, 2), 5), np.zeros((2, 2, 2), int), SPACING, "truth: expected canonical labels 0 to 4"),
        (np.zeros((2, 2, 2), int), np.full((2, 2, 2), 5), SPACING, "prediction: expected canonical labels 0 to 4"),
        (np.zeros((2, 2, 2), int), np.zeros((2, 2, 2), int), (1.0, 0.0, 1.0), "three positive voxel sizes"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused(truth, prediction, spacing, message):
    with pytest.raises(ValueError, match=message):
        score_case(truth, prediction, spacing=spacing)


def test_a_large_volume_of_two_balls_is_as_far_apart_as_their_centres():
    slices, rows, columns = np.ogrid[:100, :120, :110]
    truth = np.zeros((100, 120, 110), np.uint8)
    prediction = np.zeros_like(truth)
    for volume, shift in ((truth, 0), (prediction, 4)):
        away = np.sqrt((slices - 50) ** 2 + (rows - 55 - shift) ** 2 + (columns - 50) ** 2)
        volume[away < 40], volume[away < 28], volume[away < 20] = 2, 4, 1
    scores = score_case(truth, prediction, spacing=(1, 1, 1))
    assert scores["complete_hd95"] == pytest.approx(4.0, abs=0.3)


def test_the_masks_of_one_region_at_a_time_are_in_memory():
    truth = np.zeros((60, 80, 80), dtype=np.uint8)
    truth[20:30, 30:40, 30:40] = random_labels(seed=1, shape=(10, 10, 10))
    prediction = np.roll(truth, 1, axis=1)
    score_case(truth, prediction, spacing=SPACING)  # what is imported and kept on the first call does not count
    tracemalloc.start()
    score_case(truth, prediction, spacing=SPACING)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 7 * truth.size
