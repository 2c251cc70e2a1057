"""The coarse cascade's networks: size, shapes, field, files; expected values by hand."""

import itertools
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from brats_cascade.errors import UserError
from brats_cascade.models.build import build_model
from brats_cascade.models.coarse import (
    SpreadCells,
    build_coarse_cnn2,
    coarse_geometry,
    join_coarse,
    mean_of,
    members_of,
    with_steps,
)
from brats_cascade.models.files import Contract, cnns_of, in_precision, load_trained, save_trained
from brats_cascade.models.fold import for_inference
from brats_cascade.models.two_path import Style

THIN = Style(width=0.2)
CLASSES, MODALITIES = (0, 1, 2, 3, 4), ("flair", "t1", "t1c", "t2")


def _spread(model: keras.Model, *, by: float = 0.05) -> keras.Model:
    """Weights at which the outputs depend on all inputs."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        value = keras.ops.convert_to_numpy(weight.value)
        change = rng.normal(0, by, value.shape)
        weight.assign(value + (np.abs(change) if "variance" in weight.path or "gamma" in weight.path else change))
    return model


def _kernels(parts: list[keras.Model]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(part.get_layer("output").kernel) for part in parts]


def _inputs(rows: int, columns: int, *, steps: tuple[int, int] = (2, 2), seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(1, rows, columns, 4)).astype(np.float32)
    return [image, rng.normal(size=(1, rows // steps[0], columns // steps[1], 17)).astype(np.float32)]


@pytest.mark.parametrize(("maxout", "both"), [(2, 2_101_642), (1, 2_027_562)])
def test_parameters_are_those_counted_by_hand(maxout: int, both: int) -> None:
    def block(size: int, before: int, after: int) -> int:
        return (size**2 * before + 1) * maxout * after + 4 * after  # with bias and batch normalisation

    image, slabs = (build_model(name).count_params() for name in ("unet", "coarse_cnn1"))
    first = slabs
    assert slabs - image == 9 * (25 - 4) * 16  # a U-Net whose first convolution has more channels
    second = block(3, 4, 16) + block(3, 16, 16) + block(3, 17, 40) + 4 * block(3, 40, 40)
    second += block(1, 40, 64) + block(3, 16 + 16, 16) + (25 * 16 + 1) * 5
    model = build_model("coarse_cascade", style=Style(maxout=maxout))
    assert model.get_layer("cnn1").count_params() == first
    assert model.count_params() == first + second == both


@pytest.mark.parametrize(
    ("steps", "halo"), [((2, 2), 18), ((1, 1), 10), ((1, 2), 18), ((3, 3), 24), ((4, 4), 32), ((2, 3), 24)]
)
def test_all_pixels_but_the_halo_get_an_output(steps: tuple[int, int], halo: int) -> None:
    """Seven cells and three pixels around, rounded up to whole cells along both axes."""
    assert coarse_geometry(steps).halo == (halo, halo)
    network = build_coarse_cnn2(style=THIN, steps=steps)
    side = 12 + 2 * halo
    found = network.predict_on_batch(_inputs(side, side, steps=steps))
    assert found.shape == (1, 12, 12, 5)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)


def test_a_pixel_sees_37_pixels_and_its_own_cells() -> None:
    """The change of one output pixel says which inputs reach it, and so where outputs lie in the window."""
    network = _spread(build_coarse_cnn2(style=replace(THIN, normalisation="none"), steps=(2, 2)))
    image, cells = _inputs(40, 40)
    before = network.predict_on_batch([image, cells])
    reached = np.zeros((2, 2, 20, 20), bool)
    for row in range(20):
        changed = cells.copy()
        changed[:, row] += 1
        reached[..., row, :] = (
            np.abs(network.predict_on_batch([image, changed]) - before).max(axis=-1)[0, :2, :2] > 1e-7
        )[..., None]
    # Outputs 0 and 1 are pixels 18 and 19; three pixels around them are in the cells 7 to 10 and 8 to 11, seven cells around.
    assert [np.flatnonzero(reached[row, 0, :, 0]).tolist() for row in (0, 1)] == [list(range(18)), list(range(1, 19))]
    changed = image.copy()
    changed[:, 13 + 10 :] += 1  # the local path reaches five pixels: 18 - 5 to 18 + 5
    gap = np.abs(network.predict_on_batch([changed, cells]) - before).max(axis=(2, 3))[0]
    assert gap[0] > 1e-6
    changed = image.copy()
    changed[:, 24:] += 1
    gap = np.abs(network.predict_on_batch([changed, cells]) - before).max(axis=(2, 3))[0]
    assert gap[0] == 0 and gap[1] > 1e-6


def test_parts_of_cells_become_pixels() -> None:
    parts = np.arange(1 * 2 * 3 * 8, dtype=np.float32).reshape(1, 2, 3, 8)  # two maps, row-major 2 x 2 parts
    for steps in [(2, 2), (1, 1), (4, 3), (1, 2)]:
        found = keras.ops.convert_to_numpy(SpreadCells(steps)(parts))
        assert found.shape == SpreadCells(steps).compute_output_shape(parts.shape)
        for row, column in np.ndindex(*found.shape[1:3]):
            cell = parts[0, row // steps[0], column // steps[1]].reshape(2, 2, 2)
            down = [0, 1] if steps[0] == 1 else [row % steps[0] * 2 // steps[0]]
            across = [0, 1] if steps[1] == 1 else [column % steps[1] * 2 // steps[1]]
            np.testing.assert_allclose(found[0, row, column], cell[np.ix_(down, across)].mean(axis=(0, 1)))
    with pytest.raises(ValueError, match=r"received steps=\(0, 2\)"):
        SpreadCells((0, 2))


def test_other_steps_have_the_same_weights() -> None:
    network = _spread(build_coarse_cnn2(style=THIN))
    twin = with_steps(network, steps=(1, 3))
    fresh = build_coarse_cnn2(style=THIN, steps=(1, 3))
    fresh.set_weights(network.get_weights())
    given = _inputs(60, 60, steps=(1, 3))
    np.testing.assert_array_equal(twin.predict_on_batch(given), fresh.predict_on_batch(given))
    assert with_steps(network, steps=(2, 2)) is network and with_steps(network, steps=(1, 3)) is twin


def _cnn1s(count: int) -> list[keras.Model]:
    return [_spread(build_model("coarse_cnn1", style=THIN)) for _ in range(count)]


def test_the_mean_of_cnn1s_is_that_of_their_probabilities() -> None:
    cnn1s = _cnn1s(3)
    cnn1s[1].get_layer("output").bias.assign([3, 0, 0, 0, 0])
    slabs = np.random.default_rng(4).normal(size=(2, 36, 40, 25)).astype(np.float32)
    apart = [cnn1.predict_on_batch(slabs) for cnn1 in cnn1s]
    assert np.abs(apart[0] - apart[1]).max() > 0.1
    np.testing.assert_allclose(mean_of(cnn1s).predict_on_batch(slabs), np.mean(apart, axis=0), atol=1e-6)
    assert mean_of(cnn1s[:1]) is cnn1s[0] and members_of(cnn1s[0]) == cnn1s[:1]


@pytest.mark.slow
@pytest.mark.parametrize(("maxout", "cnn1s"), [(3, 1), (1, 2)])
def test_its_file_its_folded_form_and_its_bfloat16_answer_the_same(tmp_path: Path, maxout: int, cnn1s: int) -> None:
    style = replace(THIN, maxout=maxout, l2=1e-4, kernel_bound=1.0)
    cnn1 = mean_of([build_model("coarse_cnn1", style=style) for _ in range(cnn1s)])
    network = _spread(build_model("coarse_cascade", style=style, cnn1=cnn1), by=0.02)
    parts = cnns_of(network)
    assert len(parts) == cnn1s + 1 and not any(np.array_equal(*two) for two in itertools.pairwise(_kernels(parts[:-1])))
    for part in parts:
        kernel = part.get_layer("output").kernel
        kernel.assign(kernel * 0.2)  # so that no class is certain
    contract = Contract("coarse_cascade", CLASSES, MODALITIES, 0.01, style, style)
    given = [np.random.default_rng(3).normal(size=(1, 36, 38, 25)).astype(np.float32), *_inputs(40, 42)]
    expected = network.predict_on_batch(given)
    assert [part.shape for part in expected] == [(1, 4, 6, 5), (1, 4, 6, 5)]
    assert min(part.std(axis=(0, 1, 2)).max() for part in expected) > 1e-3
    save_trained(tmp_path, network=network, contract=contract)
    again, _ = load_trained(tmp_path)
    lean = for_inference(again, contract=contract, precision="float32")
    names = [layer.name for part in cnns_of(lean) for layer in part.layers]
    assert not any(name.endswith("_norm") for name in names)
    rough = in_precision(again, contract=contract, precision="bfloat16")
    for other, close in ((again, 1e-6), (lean, 1e-5), (rough, 0.05)):
        for found, wanted in zip(other.predict_on_batch(given), expected, strict=True):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, wanted, atol=close)


def test_a_file_of_an_earlier_form_is_refused_by_its_reason(tmp_path: Path) -> None:
    slabs = keras.Input((None, None, 25), name="slabs")
    cnn1 = keras.Model(slabs, keras.layers.Conv2D(5, 3, activation="softmax", name="output")(slabs), name="coarse_cnn1")
    network = join_coarse(cnn1=cnn1, cnn2=build_coarse_cnn2(style=THIN))
    save_trained(tmp_path, network=network, contract=Contract("coarse_cascade", CLASSES, MODALITIES, 0.01, THIN, THIN))
    with pytest.raises(UserError, match="trained by an older version, whose CNN 1 had cells of 4 mm"):
        load_trained(tmp_path)
