"""Random changes of CNN 1's maps in training: their formula, where they apply, and what they leave alone."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from settings import train_settings

from brats_cascade.models.cascade import CNN2, GEOMETRY
from brats_cascade.models.coarse import coarse_geometry
from brats_cascade.training.augment import Variation, draw_variation, vary_maps
from brats_cascade.training.inputs import cut_inputs

STILL = Variation(None, None, flipped=False)
ODDS = np.array([1.0, -0.5, 0.2, 0.0, -2.0], np.float32)


def _draw(rng: np.random.Generator, **changes: object) -> Variation:
    settings = train_settings(intensity=0.2, **changes)
    return draw_variation(rng, settings=settings, modalities=4, flip=True, centre=(4, 4), pixel=(1.0, 1.0))


def test_odds_are_added_to_the_scores_that_a_softmax_turned_into_maps(rng) -> None:
    scores = rng.normal(size=(6, 7, 4)).astype(np.float32)
    found = vary_maps(softmax(scores, axis=-1), variation=replace(STILL, odds=ODDS))
    np.testing.assert_allclose(found, softmax(log_softmax(scores, axis=-1) + ODDS[:4], axis=-1), atol=1e-6)
    certain = np.eye(5, dtype=np.float32)[[0, 3]][None]
    np.testing.assert_array_equal(vary_maps(certain, variation=replace(STILL, odds=ODDS)), certain)


@pytest.mark.parametrize("changes", [{"cnn1_noise": 0.0}, {"cnn1_noise": 1.0, "cnn1_output": "relu_batch"}])
def test_without_noise_nothing_is_drawn_and_maps_stay(rng, changes: dict[str, object]) -> None:
    first, second = np.random.default_rng(3), np.random.default_rng(3)
    variation = _draw(first, **changes)
    assert variation.odds is None
    _draw(second, cnn1_noise=0.0)
    assert first.random() == second.random()
    maps = rng.random((3, 3, 5))
    assert vary_maps(maps, variation=variation) is maps


def test_the_noise_has_its_standard_deviation_and_comes_last() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([_draw(rng, cnn1_noise=1.5).odds for _ in range(2000)])
    assert drawn.shape == (2000, 5) and drawn.std() == pytest.approx(1.5, rel=0.03)
    assert drawn.mean() == pytest.approx(0, abs=0.05)
    noisy, plain = _draw(np.random.default_rng(4), cnn1_noise=1.5), _draw(np.random.default_rng(4))
    np.testing.assert_array_equal(noisy.shift, plain.shift)
    assert noisy.flipped == plain.flipped


@pytest.mark.parametrize("architecture", ["coarse_cascade", "input_cascade"])
def test_only_the_maps_of_a_window_change(make_case, architecture: str) -> None:
    case = make_case("a", shape=(4, 40, 48))
    coarse = architecture == "coarse_cascade"
    geometry = coarse_geometry((2, 2)) if coarse else replace(CNN2, joined=GEOMETRY[architecture].joined)
    sides = (1, 10, 12) if coarse else (4, 72, 80)
    maps = np.random.default_rng(1).dirichlet(np.ones(5), size=sides).astype(np.float32)
    case = replace(case, maps=maps, spacing=(1.0, 1.0, 1.0))
    window = {"layer": 1, "top": 8, "left": 16, "size": 8, "geometry": geometry}
    image, plain = cut_inputs(case, variation=STILL, **window)
    same, found = cut_inputs(case, variation=replace(STILL, odds=ODDS), **window)
    np.testing.assert_array_equal(same, image)
    np.testing.assert_array_equal(found[..., :-5], plain[..., :-5])
    expected = softmax(np.log(plain[..., -5:]) + ODDS, axis=-1)
    np.testing.assert_allclose(found[..., -5:], expected, atol=1e-5)
    assert np.abs(found[..., -5:] - plain[..., -5:]).mean() > 0.05
