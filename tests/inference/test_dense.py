"""Dense inference against patch-by-patch inference of the same weights."""

import numpy as np
import pytest

from brats_cascade.inference.dense import brain_windows, predict_around, predict_volume, window_step
from brats_cascade.models.build import build_model
from brats_cascade.models.cascade import GEOMETRY, PAPERS
from brats_cascade.models.two_path import Style


def _network(architecture: str, *, classes: int = 5):
    network = build_model(architecture, classes=classes, style=Style(width=0.1))
    rng = np.random.default_rng(0)
    network.set_weights([np.abs(rng.normal(0.1, 0.1, w.shape)).astype(np.float32) for w in network.get_weights()])
    for layer in network.layers:
        for wide in (
            [layer.get_layer("output")] if hasattr(layer, "get_layer") else [layer] if layer.name == "output" else []
        ):
            wide.kernel.assign(rng.normal(0, 0.002, wide.kernel.shape))  # so that no class is certain
    return network


def _case(*, shape: tuple[int, int, int] = (5, 37, 30)) -> tuple[np.ndarray, np.ndarray]:
    """A ball of brain, off the centre, with empty slices below and above."""
    rng = np.random.default_rng(1)
    s, r, c = np.ogrid[: shape[0], : shape[1], : shape[2]]
    brain = ((s - 2) / 1.9) ** 2 + ((r - 16) / 15.0) ** 2 + ((c - 17) / 12.0) ** 2 < 1
    image = rng.normal(0, 1, (*shape, 4)).astype(np.float32) * brain[..., None]
    return image, brain


@pytest.mark.slow
@pytest.mark.parametrize("architecture", PAPERS)
def test_a_volume_equals_its_patches(architecture: str) -> None:
    image, brain = _case()
    network, geometry = _network(architecture), GEOMETRY[architecture]
    found = predict_volume(network, image=image, brain=brain, geometry=geometry, slices=2)
    padded = np.pad(image, ((0, 0), geometry.halo, geometry.halo, (0, 0)))
    places = np.argwhere(brain)[:: max(1, int(brain.sum()) // 60)]
    patches = np.stack([padded[s, r : r + geometry.patch, c : c + geometry.patch] for s, r, c in places])
    expected = network.predict_on_batch(patches)[:, 0, 0]
    assert expected.std(axis=0).max() > 1e-3  # the outputs do depend on the place
    np.testing.assert_allclose(found[tuple(places.T)], expected, atol=1e-4)


def test_outside_the_brain_class_0_is_certain() -> None:
    image, brain = _case()
    found = predict_volume(_network("two_path"), image=image, brain=brain, geometry=GEOMETRY["two_path"])
    np.testing.assert_array_equal(found[~brain], np.tile([1, 0, 0, 0, 0], (int((~brain).sum()), 1)))
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.slow
def test_the_batch_of_slices_changes_nothing() -> None:
    image, brain = _case()
    network, geometry = _network("input_cascade"), GEOMETRY["input_cascade"]
    expected = predict_volume(network, image=image, brain=brain, geometry=geometry, slices=5)
    for slices in (1, 3, 8):
        found = predict_volume(network, image=image, brain=brain, geometry=geometry, slices=slices)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_margin_holds_what_padding_the_slice_gives() -> None:
    image, brain = _case()
    network, geometry = _network("two_path"), GEOMETRY["two_path"]
    found = predict_around(network, image=image, brain=brain, geometry=geometry, margin=16, slices=1)
    assert found.shape == (5, 37 + 32, 30 + 32, 5)
    whole = network.predict_on_batch(np.pad(image[2:3], ((0, 0), (32, 32), (32, 32), (0, 0))))[0]
    rows, columns = np.nonzero(brain[2])
    top, left, bottom, right = rows.min(), columns.min(), rows.max() + 33, columns.max() + 33
    np.testing.assert_allclose(found[2, top:bottom, left:right], whole[top:bottom, left:right], atol=1e-5)


def test_windows_cover_the_brain_and_nothing_is_computed_without_brain() -> None:
    _, brain = _case()
    seen = np.zeros_like(brain)
    for start, stop, top, left, rows, columns in brain_windows(brain, slices=1):
        assert brain[start:stop].any()
        assert rows % 16 == columns % 16 == 0
        seen[start:stop, max(top, 0) : top + rows, max(left, 0) : left + columns] = True
    assert seen[brain].all()
    assert list(brain_windows(np.zeros((3, 4, 5), bool), slices=2)) == []


@pytest.mark.parametrize(
    ("backend", "devices", "expected"),
    [
        ("tensorflow", ["gpu:0"], 1),
        ("jax", ["cpu:0", "cpu:1"], 16),
        ("jax", ["gpu:0"], 64),
        ("jax", ["tpu:0", "tpu:1"], 64),
    ],
)
def test_fewer_shapes_are_compiled_where_a_pixel_costs_little(backend: str, devices: list[str], expected: int) -> None:
    assert window_step(backend, devices=devices) == expected


def test_rounding_windows_up_changes_no_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    image, brain = _case()
    network, geometry = _network("two_path"), GEOMETRY["two_path"]
    found = []
    for step in (1, 64):
        monkeypatch.setattr("brats_cascade.inference.dense.window_step", lambda *_, step=step, **__: step)
        found.append(predict_volume(network, image=image, brain=brain, geometry=geometry, slices=2))
    assert len(np.unique(found[0][brain])) > 100  # of a network, not of the air around
    np.testing.assert_allclose(*found, atol=1e-5)
