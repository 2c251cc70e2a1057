"""Warps: identity and quarter turns by NumPy, all parts of a window move together, and what is drawn."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from settings import train_settings

from brats_cascade.data.windows import cut_window
from brats_cascade.models.cascade import CNN2, GEOMETRY
from brats_cascade.models.coarse import coarse_geometry
from brats_cascade.training.batches import TrainingCase
from brats_cascade.training.patches import PatchSampler
from brats_cascade.training.tiles import TileSampler
from brats_cascade.training.warp import Warp, cut_warped, draw_warp

CLASSES = (0, 1, 2, 3, 4)


def _warp(matrix: object, *, centre: tuple[float, float] = (0.0, 0.0)) -> Warp:
    none = np.zeros((2, 1))
    return Warp(centre, np.array(matrix, float), np.zeros((2, 1, 2)), none, np.zeros(2))


@pytest.mark.parametrize(("order", "mode"), [(0, "constant"), (1, "constant"), (1, "edge")])
def test_a_warp_that_moves_nothing_cuts_the_window(rng, order: int, mode: str) -> None:
    still = draw_warp(rng, strength=0.0, centre=(7.5, 30.0), pixel=(1.0, 2.0))
    plane = rng.normal(size=(20, 24, 3)).astype(np.float32)
    box = {"top": -4, "left": 9, "rows": 15, "columns": 18}
    expected = cut_window(plane, **box, mode=mode)
    for steps, margin in (((1, 1), 0), ((2, 3), 0), ((1, 1), 16)):
        found = cut_warped(
            plane, box=tuple(box.values()), warp=still, order=order, mode=mode, steps=steps, margin=margin
        )  # fmt: skip
        np.testing.assert_allclose(found, expected, atol=1e-5)
    labels = rng.integers(0, 5, (20, 24)).astype(np.uint8)
    found = cut_warped(labels, box=tuple(box.values()), warp=still)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, cut_window(labels, **box))


def test_windows_of_one_warp_are_those_of_scipy_in_whatever_order_they_are_cut(rng) -> None:
    """One warp remembers where a window's elements come from; each way of asking has its own."""
    warp = draw_warp(rng, strength=1.0, centre=(20.0, 30.0), pixel=(1.0, 1.3))
    planes = {sides: rng.normal(size=(*sides, 2)).astype(np.float32) for sides in ((48, 57), (30, 57))}
    for (top, left), order, mode, steps, margin, sides in itertools.product(
        [(-9, 5), (21, 30)], (0, 1), ("constant", "edge"), ((1, 1), (2, 2)), (0, 5), planes
    ):
        rows, columns = (
            (np.arange(start, start + count) - margin + 0.5) * step - 0.5
            for start, count, step in zip((top, left), (25, 31), steps, strict=True)
        )
        places = (warp.sources(rows, columns) + 0.5) / np.reshape(steps, (2, 1, 1)) - 0.5 + margin
        outside = {"edge": "nearest", "constant": "grid-constant"}[mode]
        expected = [map_coordinates(planes[sides][..., one], places, order=order, mode=outside) for one in (0, 1)]
        found = cut_warped(
            planes[sides], box=(top, left, 25, 31), warp=warp, order=order, mode=mode, steps=steps, margin=margin
        )  # fmt: skip
        np.testing.assert_allclose(found, np.stack(expected, axis=-1), atol=1e-5)


def test_a_quarter_turn_is_numpys_on_pixels_and_on_cells(rng) -> None:
    turn = _warp([[0, 1], [-1, 0]], centre=(9.5, 9.5))
    plane = rng.normal(size=(20, 20)).astype(np.float32)
    np.testing.assert_allclose(cut_warped(plane, box=(0, 0, 20, 20), warp=turn, order=1), np.rot90(plane), atol=1e-5)
    cells = rng.normal(size=(10, 10)).astype(np.float32)  # of 2 x 2 pixels of the same slice
    found = cut_warped(cells, box=(0, 0, 10, 10), warp=turn, order=1, steps=(2, 2))
    np.testing.assert_allclose(found, np.rot90(cells), atol=1e-5)


def test_a_stretch_takes_pixels_from_further_away() -> None:
    plane = np.arange(40.0, dtype=np.float32)[:, None] * np.ones((1, 40), np.float32)
    found = cut_warped(plane, box=(10, 10, 21, 21), warp=_warp([[1.5, 0], [0, 1]], centre=(20, 20)), order=1)
    np.testing.assert_allclose(found[:, 0], 20 + 1.5 * np.arange(-10, 11), atol=1e-4)


def _ramps(**changes: object) -> TrainingCase:
    """A case whose image holds the row and column of every pixel, and whose label says which are below row 30."""
    rows, columns = np.meshgrid(np.arange(64), np.arange(60), indexing="ij")
    image = np.stack([np.ones_like(rows), columns + 100, rows, columns], axis=-1)[None].astype(np.float32)
    labels = np.where(rows > 30, 2, 0)[None].astype(np.uint8)
    case = TrainingCase("a", image, np.ones((1, 64, 60), bool), labels)
    return replace(case, **changes)


def test_image_maps_labels_and_weights_move_together(draw_centres) -> None:
    maps = np.pad(np.repeat(_ramps().image[..., 2:3], 5, axis=-1), ((0, 0), (16, 16), (16, 16), (0, 0)), mode="edge")
    case = _ramps(maps=maps)
    settings = train_settings(tile=12, batch=6, flip=True, intensity=0.0, deformation=1.0)
    sampler = TileSampler(
        [case], centres=draw_centres([case], count=40), classes=CLASSES, weights=None, settings=settings, seed=1,
        geometry=replace(CNN2, joined=GEOMETRY["mf_cascade"].joined),
    )  # fmt: skip
    batch, again = sampler.batch(3), sampler.batch(3)
    for one, other in zip(batch.inputs, again.inputs, strict=True):
        np.testing.assert_array_equal(one, other)
    image, found = batch.inputs
    rows = image[:, 16:-16, 16:-16, 2]
    inside = image[:, 16:-16, 16:-16, 0] > 0.99999  # the slice; at its edge zeros are mixed in
    assert inside.mean() > 0.8 and np.abs(np.diff(rows, axis=2)[inside[:, :, 1:]]).max() > 0.05  # it does turn
    crop = found[:, 10:-10, 10:-10, 0]
    np.testing.assert_allclose(crop[inside], rows[inside], atol=1e-3)
    sure = inside & (np.abs(rows - 30.5) > 0.51)  # of the nearest pixel
    np.testing.assert_array_equal(batch.targets[sure], np.where(rows[sure] > 30.5, 2, 0))
    assert set(np.unique(batch.weights[inside])) == {1.0}


@pytest.mark.parametrize("architecture", ["two_path", "local_cascade"])
def test_the_centre_of_a_patch_stays_so_that_its_label_is_true(draw_centres, architecture: str) -> None:
    case, geometry = _ramps(), GEOMETRY[architecture]
    settings = train_settings(batch=8, flip=False, intensity=0.0, deformation=1.0)
    centres = draw_centres([case], count=20)
    sampler = PatchSampler(
        [case], centres=centres, classes=CLASSES, weights=None, settings=settings, seed=1, geometry=geometry
    )
    batch, rows = sampler.batch(0), centres.iloc[sampler.rows(0)]
    middle = batch.inputs[0][:, geometry.before, geometry.before, 2:]
    np.testing.assert_allclose(middle, rows[["row", "column"]], atol=1e-3)
    np.testing.assert_array_equal(batch.targets[:, 0, 0], np.where(rows["row"] > 30, 2, 0))


def test_drawn_warps_have_the_documented_spread_and_never_fold() -> None:
    rng, pixel = np.random.default_rng(5), (2.0, 1.0)
    warps = [draw_warp(rng, strength=1.0, centre=(50, 60), pixel=pixel) for _ in range(1500)]
    in_mm = [warp.matrix * np.array([[2.0], [1.0]]) / pixel for warp in warps]  # of offsets and sources in mm
    angles = [np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])) for matrix in in_mm]
    scales = [np.sqrt(np.linalg.det(matrix)) for matrix in in_mm]
    assert np.std(angles) == pytest.approx(10, rel=0.06) and np.std(np.log(scales)) == pytest.approx(0.113, rel=0.06)
    rows, columns = np.arange(0.0, 100, 4), np.arange(0.0, 120, 4)
    moved = []
    for warp in warps[:300]:
        sources = warp.sources(rows, columns)
        turned = warp.sources(np.array([50.0]), np.array([60.0]))[:, 0, 0]
        np.testing.assert_allclose(turned, warp.centre, atol=1e-9)
        down, across = (np.gradient(sources, 4, axis=axis) for axis in (1, 2))
        assert (down[0] * across[1] - down[1] * across[0]).min() > 0
        straight = replace(warp, amplitudes=np.zeros(2)).sources(rows, columns)
        moved.append((sources - straight) * np.reshape(pixel, (2, 1, 1)))
    # displacement less that of the centre: 1.5 mm twice, at distances where they are independent
    assert 1.5 < np.std(moved) < 1.5 * np.sqrt(2) * 1.05


def test_in_the_coarse_cascade_pixels_means_and_maps_move_together(draw_centres) -> None:
    """The mean row of a cell's pixels is what CNN 1's map of rows says there."""
    rows = np.repeat(np.arange(32)[:, None] * 2 + 0.5, 30, axis=1)
    case = _ramps(maps=np.repeat(rows[None, :, :, None], 5, axis=-1).astype(np.float32))
    geometry = coarse_geometry((2, 2))
    settings = train_settings(tile=12, batch=6, flip=True, intensity=0.0, deformation=1.0)
    batch = TileSampler(
        [case], centres=draw_centres([case], count=40), classes=CLASSES, weights=None, settings=settings, seed=2,
        geometry=geometry,
    ).batch(0)  # fmt: skip
    cells = batch.inputs[1]
    means, maps = cells[..., 2], cells[..., -1]
    inside = (cells[..., 0] > 0.99999) & (maps > 3) & (maps < 60)  # the slice, where the map is a ramp
    assert inside.sum() > 500
    np.testing.assert_allclose(maps[inside], means[inside], atol=0.02)
