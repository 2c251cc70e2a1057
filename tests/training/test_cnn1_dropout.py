"""Training windows whose CNN 1's probabilities are replaced by equal ones."""

from dataclasses import replace

import numpy as np
import pytest
from settings import train_settings

from brats_cascade.models.cascade import CNN2, Geometry
from brats_cascade.training.coarse import cnn2_geometry
from brats_cascade.training.tiles import TileSampler

CLASSES = (0, 1, 2, 3, 4)


@pytest.fixture(params=["grid", "slice"])
def mapped(request, make_case):
    """A case with random maps, and the geometry of a CNN 2 that reads them: the coarse cascade's, a paper's."""
    case, rng = make_case("a", shape=(4, 40, 48)), np.random.default_rng(0)
    shape = (2, 20, 24) if request.param == "grid" else (4, 40 + 32, 48 + 32)
    maps = rng.dirichlet(np.ones(len(CLASSES)), shape)
    geometry = cnn2_geometry([case]) if request.param == "grid" else replace(CNN2, joined=33)
    return replace(case, maps=maps), geometry


def _batch(case, geometry: Geometry, draw_centres, **changes):
    settings = train_settings(**{"tile": 12, "batch": 200, "intensity": 0.2, **changes})
    sampler = TileSampler(
        [case], centres=draw_centres([case], count=50), classes=CLASSES, geometry=geometry, weights=None,
        settings=settings, seed=3,
    )  # fmt: skip
    return sampler.batch(0)


def test_only_the_maps_are_replaced(mapped, draw_centres) -> None:
    case, geometry = mapped
    without = _batch(case, geometry, draw_centres, batch=1, cnn1_dropout=1.0)
    given = _batch(case, geometry, draw_centres, batch=1)
    *cells, probabilities = np.split(without.inputs[1], [-len(CLASSES)], axis=-1)
    np.testing.assert_array_equal(probabilities, np.full_like(probabilities, 1 / len(CLASSES)))
    np.testing.assert_array_equal(cells[0], given.inputs[1][..., : -len(CLASSES)])
    np.testing.assert_array_equal(without.inputs[0], given.inputs[0])
    np.testing.assert_array_equal(without.targets, given.targets)
    assert np.ptp(given.inputs[1][..., -len(CLASSES) :]) > 0.1


def test_the_given_share_of_windows_lacks_them(mapped, draw_centres) -> None:
    case, geometry = mapped
    maps = _batch(case, geometry, draw_centres, cnn1_dropout=0.3).inputs[1][..., -len(CLASSES) :]
    missing = np.ptp(maps, axis=(1, 2, 3)) == 0
    assert abs(missing.mean() - 0.3) < 0.13  # four standard deviations of a share of 200


def test_without_maps_nothing_is_drawn(mapped, draw_centres) -> None:
    """A CNN 1 sees the same batches with the option as without it, so cascades with and without it have the same CNN 1."""
    case, _ = mapped
    batches = [
        _batch(replace(case, maps=None), CNN2, draw_centres, batch=5, cnn1_dropout=share) for share in (0.0, 0.7)
    ]
    np.testing.assert_array_equal(batches[0].inputs[0], batches[1].inputs[0])
