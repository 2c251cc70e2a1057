"""Dense inference of the coarse cascade: what aligned windows give, on any grid, for thin, odd and empty cases."""

import keras
import numpy as np
import pytest

from brats_cascade.data.grid import Cell
from brats_cascade.data.windows import round_up
from brats_cascade.inference.coarse import coarse_maps, predict_coarse
from brats_cascade.models.build import build_model
from brats_cascade.models.coarse import coarse_geometry, mean_of, with_steps
from brats_cascade.models.two_path import Style
from brats_cascade.training.augment import Variation
from brats_cascade.training.batches import TrainingCase
from brats_cascade.training.inputs import cut_inputs

STILL = Variation(None, None, flipped=False)


@pytest.fixture(scope="module")
def network():
    model = build_model("coarse_cascade", style=Style(width=0.2))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        change = rng.normal(0, 0.05, weight.shape)
        weight.assign(np.asarray(weight.value) + (np.abs(change) if "variance" in weight.path else change))
    return model


def _case(*, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> TrainingCase:
    rng = np.random.default_rng(1)
    brain = np.ones(shape, bool)
    brain[:, :3] = brain[:, :, -2:] = False
    if shape[0] > 2:
        brain[1] = False  # an empty slice between others
    image = rng.normal(0, 1, (*shape, 4)).astype(np.float32) * brain[..., None]
    return TrainingCase("a", image, brain, np.zeros(shape, np.uint8), spacing=spacing)


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((7, 33, 30), (1.0, 1.0, 1.0)),
        ((5, 21, 18), (2.75, 2.75, 2.75)),
        ((3, 40, 37), (5.0, 0.5, 0.7)),
        ((1, 23, 21), (1.0, 1.0, 1.0)),
    ],
)
def test_a_volume_equals_its_aligned_windows(network, shape, spacing) -> None:
    case = _case(shape=shape, spacing=spacing)
    found = predict_coarse(network, image=case.image, brain=case.brain, spacing=spacing, slices=2)
    assert found.shape == (*shape, 5)
    np.testing.assert_array_equal(found[~case.brain][:, 0], 1)
    assert found[case.brain].std(axis=0).max() > 1e-3
    cell = Cell.of(spacing)
    cnn2, geometry = with_steps(network.get_layer("cnn2"), steps=cell.pixels), coarse_geometry(cell.pixels)
    maps = coarse_maps(network.get_layer("cnn1"), image=case.image, brain=case.brain, spacing=spacing)
    assert maps.shape[:3] == tuple(-(-side // step) for side, step in zip(shape, cell, strict=True))
    mapped = TrainingCase("a", case.image, case.brain, case.labels, maps, spacing=spacing)
    size = round_up(6, multiple=int(np.lcm(*cell.pixels)))
    for layer in {0, shape[0] // 2, shape[0] - 1}:
        for top, left in [(0, 0), (2 * cell.rows, 3 * cell.columns)]:
            parts = cut_inputs(mapped, layer=layer, top=top, left=left, size=size, geometry=geometry, variation=STILL)
            expected = cnn2.predict_on_batch([part[None] for part in parts])[0]
            window = layer, slice(top, top + size), slice(left, left + size)
            inside = case.brain[window]
            np.testing.assert_allclose(
                found[window][inside], expected[: inside.shape[0], : inside.shape[1]][inside], atol=1e-5
            )


def test_cnn1_over_a_case_equals_windows_around_the_brain(network) -> None:
    case = _case(shape=(9, 60, 52), spacing=(1.0, 1.0, 1.0))
    cnn1 = network.get_layer("cnn1")
    maps = coarse_maps(cnn1, image=case.image, brain=case.brain, spacing=case.spacing)
    slabs = case.on_coarse_grid.image.reshape(5, 30, 26, 25)
    assert maps.shape == (5, 30, 26, 5) and slabs.shape == (5, 30, 26, 25)
    # The brain fills 29 x 25 cells from the second row on: 32 x 32 in multiples of 16, with 16 cells around.
    wide = np.pad(slabs, ((0, 0), (15, 19), (16, 22), (0, 0)))
    inside = slabs[..., 14] > 0
    assert inside.any(axis=(0, 2)).tolist() == [False] + [True] * 29
    assert inside.any(axis=(0, 1)).tolist() == [True] * 25 + [False]
    expected = np.pad(cnn1.predict_on_batch(wide), ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :30, :26]
    np.testing.assert_allclose(maps[inside], expected[inside], atol=1e-5)
    np.testing.assert_array_equal(maps[~inside], np.eye(5)[np.zeros((~inside).sum(), int)])
    assert inside.any() and (~inside).any()


@pytest.mark.parametrize("step", [16, 64])
def test_rounding_windows_up_as_for_jax_changes_no_probability(network, step, monkeypatch) -> None:
    case = _case(shape=(6, 30, 29), spacing=(1.0, 1.0, 1.0))
    own = {"image": case.image, "brain": case.brain, "spacing": case.spacing}
    cnn1, shapes = network.get_layer("cnn1"), []
    expected = coarse_maps(cnn1, **own), predict_coarse(network, **own)
    monkeypatch.setattr("brats_cascade.inference.dense.window_step", lambda *_, **__: step)
    predict = cnn1.predict_on_batch
    monkeypatch.setattr(cnn1, "predict_on_batch", lambda wide: shapes.append(wide.shape[1:3]) or predict(wide))
    for found, whole in zip((coarse_maps(cnn1, **own), predict_coarse(network, **own)), expected, strict=True):
        np.testing.assert_allclose(found, whole, atol=1e-5)
    assert {side % 16 for shape in shapes for side in shape} == {0}


def test_the_batch_of_slices_and_a_far_away_voxel_change_nothing(network) -> None:
    case = _case(shape=(6, 30, 29), spacing=(1.0, 1.0, 1.0))
    expected = predict_coarse(network, image=case.image, brain=case.brain, spacing=(1, 1, 1), slices=6)
    found = predict_coarse(network, image=case.image, brain=case.brain, spacing=(1, 1, 1), slices=4)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_case_without_brain_is_class_0(network) -> None:
    nothing = np.zeros((3, 8, 9), bool)
    found = predict_coarse(network, image=np.zeros((3, 8, 9, 4), np.float32), brain=nothing, spacing=(1, 1, 1))
    assert (found[..., 0] == 1).all() and (found[..., 1:] == 0).all()


@pytest.fixture(scope="module")
def four_cnn1s() -> list[keras.Model]:
    keras.utils.set_random_seed(0)
    return [build_model("coarse_cnn1", style=Style(width=0.1)) for _ in range(4)]


@pytest.mark.parametrize("turns", ["000", "010", "0123"])
def test_along_all_axes_several_cnn1s_take_turns(four_cnn1s, turns: str) -> None:
    case, cnn1s = _case(shape=(14, 33, 30), spacing=(1.0, 1.0, 1.0)), four_cnn1s[: len(set(turns))]
    found = coarse_maps(mean_of(cnn1s), image=case.image, brain=case.brain, spacing=case.spacing, axes="all")
    expected = np.zeros_like(found)
    for turn, member in enumerate(turns):
        order = [(0, 1, 2), (1, 0, 2), (2, 0, 1)][turn % 3]
        image, brain = (np.ascontiguousarray(np.moveaxis(of, order, (0, 1, 2))) for of in (case.image, case.brain))
        maps = coarse_maps(cnn1s[int(member)], image=image, brain=brain, spacing=case.spacing)
        expected += np.moveaxis(maps, (0, 1, 2), order) / len(turns)
    one = coarse_maps(mean_of(cnn1s), image=case.image, brain=case.brain, spacing=case.spacing)
    assert np.abs(found - one).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-5)
