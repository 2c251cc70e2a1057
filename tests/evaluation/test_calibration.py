"""Calibration: errors that can be worked out by hand, and a temperature that is known."""

import numpy as np
import pytest

from brats_cascade.data.store import StoredCase
from brats_cascade.drawing.figures import reliability_diagram
from brats_cascade.evaluation.calibration import BINS, Calibration, Reliability, fit_temperature, reliability
from brats_cascade.inference.segment import scaled


def voxels(*confidences: float, wrong: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of five labels, label 2 with these; the first `wrong` voxels are label 0 in truth."""
    probabilities = np.zeros((len(confidences), 5), np.float32)
    probabilities[:, 2] = confidences
    probabilities[:, 4] = 1 - probabilities[:, 2]
    return probabilities, np.array([0] * wrong + [2] * (len(confidences) - wrong))


def softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def overconfident() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose scores are three times too large, and labels drawn by the true ones."""
    draw = np.random.default_rng(0)
    scores = draw.normal(0, 1, (40_000, 5))
    cumulated = softmax(scores).cumsum(axis=-1)
    labels = (draw.random((len(scores), 1)) > cumulated).sum(axis=-1)
    return softmax(3 * scores).astype(np.float32), labels


def test_the_error_is_the_mean_gap_of_accuracy_and_confidence() -> None:
    probabilities, truth = voxels(0.9, 0.9, 0.9, 0.9, wrong=1)  # right in 3 of 4
    assert reliability(probabilities, truth=truth).error == pytest.approx(0.15)
    other, other_truth = voxels(1.0, 1.0, 0.6, 0.6, wrong=0)  # gaps of 0 and 0.4
    both = Reliability(*np.add(reliability(probabilities, truth=truth), reliability(other, truth=other_truth)))
    assert both.error == pytest.approx((4 * 0.15 + 2 * 0 + 2 * 0.4) / 8)
    assert both.voxels.sum() == 8 and both.voxels[BINS - 1] == 2
    nothing, nowhere = voxels()
    assert np.isnan(reliability(nothing, truth=nowhere).error)


def test_a_temperature_divides_the_scores() -> None:
    scores = np.random.default_rng(1).normal(0, 3, (7, 5))
    np.testing.assert_allclose(scaled(softmax(scores), temperature=2.5), softmax(scores / 2.5), rtol=1e-9)
    same = softmax(scores)
    assert scaled(same, temperature=1) is same


def test_the_temperature_that_spoilt_the_probabilities_is_found() -> None:
    probabilities, truth = overconfident()
    temperature = fit_temperature(probabilities, truth=truth)
    assert temperature == pytest.approx(3, rel=0.03)
    cured = reliability(scaled(probabilities, temperature=temperature), truth=truth)
    assert cured.error < 0.02 < 0.2 < reliability(probabilities, truth=truth).error


@pytest.mark.parametrize("fitted", [False, True])
def test_a_temperature_is_fitted_on_validation_if_asked_for(fitted: bool) -> None:
    probabilities, truth = (values.reshape(20, 40, 50, *values.shape[1:]) for values in overconfident())
    brain = np.ones(truth.shape, bool)
    brain[0] = False
    case = StoredCase("A", np.zeros((*truth.shape, 4), np.float32), brain, truth.astype(np.uint8), {})
    calibration = Calibration(fitted=fitted, classes=tuple(range(5)))
    calibration.sample(case, probabilities)
    calibration.fit()
    calibration.count(case, probabilities)
    calibration.count(case, probabilities)
    found = calibration.summary()
    assert calibration.counts["brain"].voxels.sum() == 2 * brain.sum()
    assert calibration.counts["called tumour"].voxels.sum() == 2 * (probabilities.argmax(axis=-1) > 0)[brain].sum()
    assert found["ece"] == pytest.approx(reliability(probabilities[brain], truth=truth[brain]).error)
    assert ("temperature" in found) is fitted
    if fitted:
        assert found["temperature"] == pytest.approx(3, rel=0.1) and found["ece_scaled"] < 0.1 * found["ece"]
    left, right = reliability_diagram(calibration.counts).axes
    assert (left.get_title(), right.get_title()) == ("brain", "called tumour")
    assert len(left.lines) == len(right.lines) == 2 + fitted  # the diagonal, and a curve each


@pytest.mark.parametrize(("classes", "error"), [((0, 1, 2, 4), 0.0), ((0, 1, 2, 3, 4), 0.25)])
def test_a_network_that_merges_labels_is_right_where_it_says_necrosis_for_3(classes, error) -> None:
    labels = np.array([0, 1, 3, 4], np.uint8).reshape(1, 2, 2)
    answer = np.where(labels == 3, 1, labels)
    case = StoredCase("A", np.zeros((1, 2, 2, 4), np.float32), np.ones((1, 2, 2), bool), labels, {})
    calibration = Calibration(fitted=True, classes=classes)
    calibration.sample(case, np.eye(5)[answer])
    calibration.count(case, np.eye(5)[answer])
    assert calibration.summary()["ece"] == error  # certain of every label, and one of four is wrong with five classes
