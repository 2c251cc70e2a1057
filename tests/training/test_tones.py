"""Changes of intensity as between scanners: what a bend keeps, the bias field's formula, and that zero stays zero."""

import numpy as np
import pytest
from settings import train_settings

from brats_cascade.training.augment import Tones, draw_tones, draw_variation, vary_intensities, vary_slabs


def _tones(bend: float, *, bias: float = 0.0) -> Tones:
    wave = np.array([[[0.3, -0.2]]])
    return Tones(np.array([bend]), wave, np.array([[0.7]]), np.array([[bias]]))


@pytest.mark.parametrize("bend", [0.25, -0.25, 1e-4])
def test_a_bend_keeps_order_mean_and_spread_of_normal_intensities(rng, bend: float) -> None:
    values = np.sort(rng.normal(size=200_000)).reshape(400, 500, 1)
    found = _tones(bend).change(values)
    assert (np.diff(found.ravel()) >= 0).all()
    assert found.mean() == pytest.approx(0, abs=0.02) and found.std() == pytest.approx(1, abs=0.02)
    skew = float(((found - found.mean()) ** 3).mean())
    assert np.sign(skew) == np.sign(bend) or abs(bend) < 1e-3
    if abs(bend) < 1e-3:
        np.testing.assert_allclose(found, values, atol=2e-3)


def test_a_bias_field_multiplies_what_the_scanner_measured() -> None:
    found = _tones(1e-4, bias=0.1).change(np.full((5, 7, 1), 0.5))
    for row, column in np.ndindex(5, 7):
        share = 0.1 * np.sin(0.3 * (row - 2) - 0.2 * (column - 3) + 0.7)
        assert found[row, column, 0] == pytest.approx((0.5 + 3) * (1 + share) - 3, abs=1e-3)


def test_windows_of_other_sides_get_a_bias_field_of_their_own(rng) -> None:
    shared = _tones(0.2, bias=0.1)
    for sides in ((5, 7), (9, 4), (5, 7)):
        values = rng.normal(size=(*sides, 1))
        np.testing.assert_array_equal(shared.change(values), _tones(0.2, bias=0.1).change(values))


def test_zero_outside_the_brain_stays_and_slabs_change_as_the_slice_does(rng) -> None:
    settings = train_settings(intensity=0.2, scanner=1.0)
    common = {
        "settings": settings,
        "modalities": 4,
        "flip": False,
        "maps": False,
        "centre": (4, 4),
        "pixel": (1.0, 1.0),
    }
    variation = draw_variation(np.random.default_rng(3), **common)
    image = rng.normal(size=(9, 9, 4)).astype(np.float32)
    image[:, :3] = 0
    found = vary_intensities(image, variation=variation)
    assert not found[:, :3].any() and np.abs(found - image)[:, 3:].mean() > 0.05
    share = np.where(np.any(image != 0, axis=-1, keepdims=True), np.float32(0.25), np.float32(0))
    slab = np.concatenate([image * share, share], axis=-1)
    varied = vary_slabs(np.concatenate([slab] * 5, axis=-1), variation=variation).reshape(9, 9, 5, 5)
    np.testing.assert_allclose(varied[:, :, 2, :4], found * share, atol=1e-5)
    np.testing.assert_array_equal(varied[..., 4], np.repeat(share, 5, axis=-1))


def test_what_is_off_draws_nothing() -> None:
    draws = []
    for changes in ({}, {"scanner": 0.5, "deformation": 0.5}):
        rng, settings = np.random.default_rng(1), train_settings(intensity=0.1, **changes)
        draws.append(
            draw_variation(
                rng, settings=settings, modalities=4, flip=True, maps=True, centre=(0, 0), pixel=(1.0, 1.0)
            )
        )  # fmt: skip
    plain, varied = draws
    assert plain.warp is None and plain.tones is None and varied.warp is not None and varied.tones is not None
    np.testing.assert_array_equal(plain.shift, varied.shift)
    assert plain.flipped == varied.flipped
    bends = [draw_tones(np.random.default_rng(k), modalities=4, strength=1.0, pixel=(1, 1)).bends for k in range(300)]
    assert np.std(bends) == pytest.approx(0.1, rel=0.08)
