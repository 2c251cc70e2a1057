import numpy as np
import pytest
from sklearn.metrics import f1_score

from brats_cascade.evaluation.slices import earlier_work_score, largest_run, slice_table
from brats_cascade.labels import REGIONS


def labels(*, seed, shape=(5, 7, 8)):
    return np.random.default_rng(seed).choice(5, size=shape, p=[0.6, 0.1, 0.1, 0.1, 0.1]).astype(np.uint8)


def test_every_slice_agrees_with_scikit_learn():
    truth, prediction = labels(seed=1), labels(seed=2)
    table = slice_table(truth, prediction, first_slice=40)
    assert table["slice"].tolist() == [40, 41, 42, 43, 44]
    for row, (t, p) in enumerate(zip(truth, prediction, strict=True)):
        for region, members in REGIONS.items():
            expected = f1_score(np.isin(t, members).ravel(), np.isin(p, members).ravel())
            assert table[f"{region}_f1"][row] == pytest.approx(expected, abs=1e-6)
        assert table["truth_pixels"][row] == (t > 0).sum()
        assert table["predicted_pixels"][row] == (p > 0).sum()


def test_a_slice_without_tumour_has_no_f1_and_a_false_alarm_has_nought():
    truth, prediction = np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3, 3), np.uint8)
    prediction[1, 0, 0] = 2
    table = slice_table(truth, prediction)
    assert np.isnan(table["complete_f1"][0])
    assert table["complete_f1"][1] == 0
    assert np.isnan(table["core_f1"][1])  # edema is no part of the core


@pytest.mark.parametrize("seed", range(3))
def test_the_earlier_works_score_as_its_notebook_computes_it(seed):
    truth = labels(seed=seed, shape=(9, 11))
    probabilities = np.random.default_rng(seed + 10).dirichlet([0.3] * 5, size=(9, 11))
    true_columns = np.eye(5)[truth.ravel()].astype(int)[:, 1:4]
    found_columns = np.around(probabilities.reshape(-1, 5)).astype(int)[:, 1:4]
    expected = f1_score(np.argmax(true_columns, axis=1), np.argmax(found_columns, axis=1), average="micro")
    assert earlier_work_score(truth, probabilities) == pytest.approx(expected, abs=1e-12)


def test_the_earlier_works_score_rewards_finding_nothing_and_is_blind_to_enhancing_tumour():
    truth = np.zeros((10, 10), np.uint8)
    truth[:2, :5] = 4
    nothing = np.zeros((10, 10, 5))
    nothing[..., 0] = 1
    assert earlier_work_score(truth, nothing) == 1.0
    truth[5, :5] = 2
    assert earlier_work_score(truth, nothing) == 0.95


def test_the_largest_run_of_slices():
    truth = np.zeros((20, 4, 4), np.uint8)
    truth[7:10] = 1
    truth[2, :2] = 3
    assert largest_run((truth > 0).sum(axis=(1, 2)), n=3) == [7, 8, 9]
    assert largest_run((truth[:5] > 0).sum(axis=(1, 2)), n=9) == [0, 1, 2, 3, 4]
    assert largest_run([0, 5, 5, 0, 5, 5], n=2) == [1, 2]
