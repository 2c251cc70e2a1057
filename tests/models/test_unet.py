"""The yardstick: its size, its contract, and what its halo does."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from brats_cascade.models.build import build_model, load_network
from brats_cascade.models.cascade import GEOMETRY, score_model
from brats_cascade.models.files import Contract, in_precision
from brats_cascade.models.two_path import Style
from brats_cascade.models.unet import CropHalo, RoundUp, build_unet

CLASSES, MODALITIES = (0, 1, 2, 3, 4), ("flair", "t1", "t1c", "t2")
THIN = Style(width=0.25)


def _image(rows: int, columns: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, rows, columns, 4)).astype(np.float32)


def test_rounding_up_adds_zeros_and_cropping_takes_them_off() -> None:
    image = _image(5, 8)
    wide = keras.ops.convert_to_numpy(RoundUp(4)(image))
    np.testing.assert_array_equal(wide, np.pad(image, ((0, 0), (0, 3), (0, 0), (0, 0))))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(CropHalo(2)(wide, image)), image[:, 2:3, 2:6])


@pytest.mark.parametrize(("layer", "value"), [(RoundUp, 0), (CropHalo, -1)])
def test_what_cannot_be_rounded_or_cropped_is_refused(layer: type, value: int) -> None:
    with pytest.raises(ValueError, match=f"received .*={value}"):
        layer(value)


def test_parameters_are_those_of_the_usual_form() -> None:
    """Kernels 3x3 and 2x2, biases, and four numbers a map of batch normalisation, counted by hand."""
    maps = [16, 32, 64, 128, 256]
    pairs = [*zip([4, *maps], maps, strict=False), *zip(maps, maps, strict=True)]  # down and bottom
    pairs += [*((2 * m, m) for m in maps[:-1]), *((m, m) for m in maps[:-1])]  # up
    count = sum(9 * before * after + after + 4 * after for before, after in pairs)
    count += sum(4 * 2 * m * m + m for m in maps[:-1]) + 16 * 5 + 5  # transposed convolutions, output
    assert build_unet().count_params() == count == 1_947_205


@pytest.mark.slow
def test_any_window_gives_the_outputs_of_all_but_the_halo() -> None:
    network, around = build_model("unet", style=THIN), GEOMETRY["unet"].patch - 1
    for rows, columns in [(65, 65), (80, 96), (71, 90)]:
        found = network.predict_on_batch(_image(rows, columns))
        assert found.shape == (1, rows - around, columns - around, 5)
        np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)


def test_outputs_lie_where_the_halo_says() -> None:
    """Weights that copy one modality through the top level: an output pixel answers to its own pixel alone."""
    network = build_unet(style=replace(THIN, normalisation="none"))
    for layer in network.layers:
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    for name in ("down1a", "down1b", "up1a", "up1b"):
        kernel, bias = network.get_layer(f"{name}_conv").get_weights()
        kernel[1, 1, 0, 0] = 1
        network.get_layer(f"{name}_conv").set_weights([kernel, bias])
    kernel, bias = network.get_layer("output").get_weights()
    kernel[0, 0, 0, 2] = 1
    network.get_layer("output").set_weights([kernel, bias])
    image = np.abs(_image(70, 77))
    scores = score_model(network).predict_on_batch(image)
    np.testing.assert_allclose(scores[..., 2], image[:, 32:-32, 32:-32, 0], rtol=1e-6)


@pytest.mark.slow
def test_what_lies_beyond_the_window_changes_the_outputs_by_little() -> None:
    """Zeros take the place of the image there; with the paper's networks the outputs would be equal."""
    network, image = build_unet(style=THIN), _image(160, 160)
    whole = network.predict_on_batch(image)[:, 16:-16, 16:-16]
    gap = np.abs(network.predict_on_batch(image[:, 16:-16, 16:-16]) - whole)
    assert 0 < gap.mean() < 0.2 * whole.std(axis=(0, 1, 2)).max()


@pytest.mark.slow
@pytest.mark.parametrize("normalisation", ["batch", "dropout", "none"])
def test_a_saved_network_answers_the_same_in_any_style(normalisation: str, tmp_path: Path) -> None:
    network = build_unet(style=replace(THIN, normalisation=normalisation, dropout=0.2, kernel_bound=0.5, l2=1e-4))
    network.save(tmp_path / "model.keras")
    image = _image(70, 81)
    again = load_network(tmp_path / "model.keras").predict_on_batch(image)
    np.testing.assert_allclose(again, network.predict_on_batch(image), atol=1e-6)
    assert len(network.losses) == 23  # one a kernel


@pytest.mark.slow
def test_it_computes_in_bfloat16_and_answers_in_float32() -> None:
    network = build_unet(style=THIN)
    contract = Contract("unet", CLASSES, MODALITIES, 0.01, THIN, None)
    rough = in_precision(network, contract=contract, precision="bfloat16")
    assert rough.get_layer("bottoma_conv").compute_dtype == "bfloat16"
    assert score_model(rough).output.dtype == "float32"
    image = _image(96, 96)
    np.testing.assert_allclose(rough.predict_on_batch(image), network.predict_on_batch(image), atol=0.05)
