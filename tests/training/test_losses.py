"""Cross-entropy with soft Dice of the regions, against the formula in NumPy and its finite differences."""

import keras
import numpy as np
import pytest

from brats_cascade.labels import REGIONS
from brats_cascade.training.losses import build_loss

LABELS = {5: (0, 1, 2, 3, 4), 4: (0, 1, 2, 4)}
MEAN = "mean_with_sample_weight"


def _formula(scores: np.ndarray, *, targets: np.ndarray, weights: np.ndarray) -> float:
    """Pixel by pixel, in float64."""
    labels, entropy, total = LABELS[scores.shape[-1]], 0.0, 0.0
    overlap, size = (dict.fromkeys(REGIONS, 0.0) for _ in range(2))
    for place in np.ndindex(targets.shape):
        chance = np.exp(scores[place]) / np.exp(scores[place]).sum()
        entropy -= weights[place] * np.log(chance[targets[place]])
        total += weights[place]
        for region, members in REGIONS.items():
            if weights[place] > 0:
                found = sum(chance[number] for number, label in enumerate(labels) if label in members)
                true = float(labels[targets[place]] in members)
                overlap[region] += found * true
                size[region] += found + true
    dice = [(2 * overlap[region] + 1) / (size[region] + 1) for region in REGIONS]
    return entropy / total + 1 - float(np.mean(dice))


@pytest.mark.parametrize("classes", [5, 4])
def test_value_and_gradient_are_those_of_the_formula(rng, classes: int) -> None:
    import tensorflow as tf

    scores = rng.normal(size=(2, 3, 4, classes))
    targets = rng.integers(0, classes, size=(2, 3, 4))
    weights = rng.uniform(0, 3, size=(2, 3, 4)) * (rng.random((2, 3, 4)) < 0.7)
    loss = build_loss("cross_entropy_dice", classes=classes, reduction=MEAN)
    given = keras.ops.convert_to_tensor(scores.astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = loss(targets[..., None], given, weights.astype(np.float32))
    gradient = tape.gradient(value, given).numpy()
    assert float(value) == pytest.approx(_formula(scores, targets=targets, weights=weights), rel=1e-5)
    expected = np.zeros_like(scores)
    for place in np.ndindex(scores.shape):
        step = np.zeros_like(scores)
        step[place] = 1e-5
        ends = [_formula(scores + sign * step, targets=targets, weights=weights) for sign in (1, -1)]
        expected[place] = (ends[0] - ends[1]) / 2e-5
    np.testing.assert_allclose(gradient, expected, atol=2e-6)
    assert not gradient[weights == 0].any() and np.abs(gradient[weights > 0]).min() > 0


def test_of_a_perfect_answer_and_of_an_absent_region_nothing_is_lost() -> None:
    targets = np.array([0, 0, 2, 2]).reshape(1, 2, 2)  # edema alone: no core, nothing enhancing
    scores = 50.0 * np.eye(5, dtype=np.float32)[targets]
    loss = build_loss("cross_entropy_dice", classes=5, reduction=MEAN)
    assert float(loss(targets[..., None], scores, np.ones((1, 2, 2), np.float32))) == pytest.approx(0, abs=1e-5)
    assert float(loss(targets[..., None], scores)) == pytest.approx(0, abs=1e-5)


def test_a_cross_entropy_is_shared_by_replicas() -> None:
    loss = build_loss("cross_entropy", classes=5, reduction="sum")
    assert isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
