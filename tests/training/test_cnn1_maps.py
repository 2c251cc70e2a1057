"""CNN 1's stored maps: training CNN 2 on them is training inside the joined cascade."""

import contextlib
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from settings import train_settings

from brats_cascade.errors import UserError
from brats_cascade.inference.coarse import coarse_maps
from brats_cascade.models.build import build_model
from brats_cascade.models.cascade import CASCADES, CNN2, GEOMETRY, build_cnn2, cnn1_map_model, join_cascade
from brats_cascade.models.two_path import Style
from brats_cascade.training.cnn1_maps import stored_maps
from brats_cascade.training.fingerprint import network_digest
from brats_cascade.training.tiles import TileSampler
from brats_cascade.training.validation import predict_slices

CLASSES = (0, 1, 2, 3, 4)
STYLE = Style(width=0.06)


def _spread(model: keras.Model, *, seed: int) -> keras.Model:
    """Weights at which the outputs depend on the inputs and are far from certain."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = keras.ops.convert_to_numpy(weight.value)
        change = rng.normal(0, 0.02, value.shape)
        weight.assign(value + (np.abs(change) if "variance" in weight.path else change))
    return model


def _pair(architecture: str, *, style: Style = STYLE) -> tuple[keras.Model, keras.Model, keras.Model]:
    """CNN 1 up to what CNN 2 wants of it, CNN 2, and both joined."""
    cnn1 = _spread(build_model("two_path", style=style), seed=1)
    cnn2 = _spread(build_cnn2(architecture, style=style), seed=2)
    return cnn1_map_model(cnn1, cnn2=cnn2), cnn2, join_cascade(architecture, cnn1=cnn1, cnn2=cnn2)


def _stored(network: keras.Model, **settings) -> dict[str, np.ndarray]:
    with stored_maps(network, **settings) as maps:
        return maps


# The maps are stored as float16: a probability is off by at most 2**-12 (half a unit in the last of 11 bits, below 1). The
# scores of CNN 2 are sums of the maps times its weights, so at these weights the probabilities agree to 2e-3; without that
# rounding (float32 maps) they agree to rounding errors, 2e-5.
@pytest.mark.slow
@pytest.mark.parametrize("architecture", CASCADES)
def test_cnn2_on_stored_maps_is_the_joined_cascade_on_the_image(cohort, tmp_path: Path, architecture: str) -> None:
    case = cohort[0]
    cnn1, cnn2, whole = _pair(architecture)
    maps = _stored(cnn1, cases=[case], folder=tmp_path)["a"]
    assert maps.dtype == np.float16
    assert maps.shape == (4, 40 + 32, 44 + 32, 5)
    geometry, own = GEOMETRY[architecture], replace(CNN2, joined=GEOMETRY[architecture].joined)
    layers = [1, 3]
    found = predict_slices(cnn2, case=replace(case, maps=maps), layers=layers, geometry=own)
    image = np.pad(case.image[layers], ((0, 0), geometry.halo, geometry.halo, (0, 0)))
    expected = whole.predict_on_batch(image)
    brain = case.brain[layers]
    assert expected[brain].std(axis=0).max() > 5e-3
    np.testing.assert_allclose(found[brain], expected[brain], atol=2e-3)
    exact = _whole_maps(cnn1, case=case)
    found = predict_slices(cnn2, case=replace(case, maps=exact), layers=layers, geometry=own)
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", CASCADES)
def test_cnn2_on_stored_scores_is_the_joined_cascade_too(cohort, tmp_path: Path, architecture: str) -> None:
    """Earlier work's variant: CNN 1's scores through a ReLU and batch normalisation; its own maps, beside the others."""
    case = cohort[0]
    cnn1, cnn2, whole = _pair(architecture, style=replace(STYLE, cnn1_output="relu_batch"))
    cnn1.get_layer("output").bias.assign([1.5, -0.5, 2.0, 0.5, 1.0])
    stored = _stored(cnn1, cases=[case], folder=tmp_path)["a"]
    exact = _whole_maps(cnn1, case=case)
    assert exact.min() < -0.1 and exact.max() > 1.1  # no probabilities
    inside = np.zeros(exact.shape[:-1], dtype=bool)
    inside[:, 16:-16, 16:-16] = case.brain
    np.testing.assert_allclose(stored[inside], exact[inside], rtol=2e-3, atol=2e-3)
    geometry, own = GEOMETRY[architecture], replace(CNN2, joined=GEOMETRY[architecture].joined)
    found = predict_slices(cnn2, case=replace(case, maps=exact), layers=[1, 3], geometry=own)
    image = np.pad(case.image[[1, 3]], ((0, 0), geometry.halo, geometry.halo, (0, 0)))
    expected = whole.predict_on_batch(image)
    assert expected.std(axis=(0, 1, 2)).max() > 5e-3
    np.testing.assert_allclose(found, expected, atol=2e-5)
    scores = cnn2.get_layer("cnn1_relu").output
    relu = keras.Model(cnn2.inputs, scores).predict_on_batch([image[:, :33, :33], exact[[1, 3], :33, :33]])
    np.testing.assert_allclose(relu, np.maximum(exact[[1, 3], :33, :33], 0), atol=1e-6)


def test_an_unknown_way_to_give_cnn1_is_refused() -> None:
    with pytest.raises(ValueError, match="received 'logits'"):
        build_cnn2("input_cascade", style=replace(STYLE, cnn1_output="logits"))


def _whole_maps(cnn1: keras.Model, *, case) -> np.ndarray:
    """CNN 1 everywhere, in float32, the margin of 16 pixels included."""
    return cnn1.predict_on_batch(np.pad(case.image, ((0, 0), (32, 32), (32, 32), (0, 0))))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", CASCADES)
def test_a_training_tile_with_maps_is_the_same_window_of_the_image(cohort, draw_centres, architecture: str) -> None:
    """CNN 2 on a tile's image and maps gives what the joined cascade gives on the wider tile of the image alone."""
    case = cohort[0]
    cnn1, cnn2, whole = _pair(architecture)
    geometry = GEOMETRY[architecture]
    settings = train_settings(tile=10, batch=3, flip=True, intensity=0.0)
    common = {"centres": draw_centres([case], count=30), "classes": CLASSES, "weights": None, "settings": settings}
    mapped = replace(case, maps=_whole_maps(cnn1, case=case))
    frozen = TileSampler([mapped], geometry=replace(CNN2, joined=geometry.joined), seed=2, **common).batch(1)
    joint = TileSampler([case], geometry=geometry, seed=2, **common).batch(1)
    np.testing.assert_array_equal(frozen.targets, joint.targets)
    # a flip mirrors image and maps; CNN 1 itself is no mirror image of itself, so compare the tiles as they lie
    plain = [not _flipped(tile, case=case) for tile in joint.inputs[0]]
    assert any(plain)
    found, expected = cnn2.predict_on_batch(frozen.inputs), whole.predict_on_batch(joint.inputs[0])
    inside = frozen.weights[plain] > 0
    np.testing.assert_allclose(found[plain][inside], expected[plain][inside], atol=2e-5)


def _flipped(tile: np.ndarray, *, case) -> bool:
    """Whether a tile's columns run backwards: its cnn1 brain pixel's row is nowhere in the case."""
    row, column = np.argwhere(tile[:, :-1].any(axis=-1) & tile[:, 1:].any(axis=-1))[0]
    values = case.image[..., 0]
    return not ((values[:, :, :-1] == tile[row, column, 0]) & (values[:, :, 1:] == tile[row, column + 1, 0])).any()


@pytest.mark.slow
def test_maps_are_kept_for_the_same_network_and_voxels_alone(cohort, tmp_path: Path) -> None:
    cnn1, other = (_spread(build_model("two_path", style=STYLE), seed=seed) for seed in (1, 2))
    _stored(cnn1, cases=cohort, folder=tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert len(stamps) == 2
    again = _stored(cnn1, cases=cohort, folder=tmp_path)
    assert stamps == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    brighter = [cohort[0], replace(cohort[1], image=cohort[1].image * 2)]
    changed = _stored(cnn1, cases=brighter, folder=tmp_path)
    np.testing.assert_array_equal(changed["a"], again["a"])
    assert np.abs(changed["b"].astype(float) - again["b"]).max() > 1e-3
    changed = _stored(other, cases=cohort, folder=tmp_path)
    assert np.abs(changed["a"].astype(float) - again["a"]).max() > 1e-3
    assert len(list(tmp_path.rglob("*.npy"))) == 5


@pytest.mark.slow
def test_three_trainings_at_once_keep_their_own_maps(cohort, tmp_path: Path) -> None:
    """With room for none of them: each network's maps stay while they are in use, and go when they are not."""
    networks = [_spread(build_model("two_path", style=STYLE), seed=seed) for seed in (1, 2, 3)]
    with contextlib.ExitStack() as held:
        for network in networks:
            held.enter_context(stored_maps(network, cases=cohort, folder=tmp_path, limit=1))
        assert len(list(tmp_path.rglob("*.npy"))) == 6
    with stored_maps(networks[1], cases=cohort, folder=tmp_path, limit=1):
        assert {path.parent.name for path in tmp_path.rglob("*.npy")} == {network_digest(networks[1])[:16]}


def test_a_coarse_cascades_maps_are_off_by_half_a_step_at_most(cohort, tmp_path: Path) -> None:
    case = cohort[0]
    cnn1 = _spread(build_model("coarse_cnn1", style=STYLE), seed=1)
    exact = coarse_maps(cnn1, image=case.image, brain=case.brain, spacing=case.spacing)
    assert exact.std(axis=(0, 1, 2)).max() > 5e-3
    for _ in range(2):  # computed, then read
        found = _stored(cnn1, cases=[case], folder=tmp_path)["a"].astype(np.float64)
        assert np.abs(found - exact).max() <= 0.5 / 255 + 2**-12  # 8 bits in the file, float16 in memory
    [path] = tmp_path.rglob("*.npz")
    assert path.stat().st_size < exact.size  # bytes: less than one per probability


@pytest.mark.parametrize("name", ["two_path", "coarse_cnn1"])
def test_maps_in_another_precision_are_others(name: str) -> None:
    exact = build_model(name, style=STYLE)
    rounded = build_model(name, style=replace(STYLE, precision="bfloat16"))
    rounded.set_weights(exact.get_weights())
    assert network_digest(exact) != network_digest(rounded)


def test_a_full_disk_is_one_line(cohort, tmp_path: Path, monkeypatch) -> None:
    def full(path, array) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(
        UserError, match=r"a-\w+\.npy: CNN 1's maps cannot be written .*No space left on device.*free some space"
    ):
        _stored(build_model("two_path", style=STYLE), cases=cohort[:1], folder=tmp_path)


@pytest.mark.parametrize("architecture", ["two_path", "coarse_cnn1"])
def test_the_maps_of_a_case_depend_on_it_alone(make_case, tmp_path: Path, architecture: str) -> None:
    """And not on whether it is the first in its process, as it may be after a kill."""
    cases = [
        make_case(name, seed=seed, shape=shape) for name, seed, shape in (("a", 1, (5, 70, 60)), ("b", 2, (6, 80, 66)))
    ]
    network = _spread(build_model(architecture, style=Style(width=0.25)), seed=1)
    found = []
    for number, order in enumerate((cases, cases[::-1])):
        own = keras.models.clone_model(network)  # as in a process of its own
        own.set_weights(network.get_weights())
        found.append(_stored(own, cases=order, folder=tmp_path / str(number)))
    for name in ("a", "b"):
        assert found[0][name].tobytes() == found[1][name].tobytes()
