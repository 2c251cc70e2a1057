"""Device seconds for a training step of full-width networks, and for the 21x21 output layer in both forms."""

import contextlib
import time
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from benchmarks.gpu_case import CLASSES
from benchmarks.gpu_kernels import kernel_rows
from benchmarks.on_device import predict_seconds, recorded, step_seconds
from benchmarks.operations import training_operations

SHIPPED, DIRECT = "as shipped", "output layer: direct"
PADDED, SHIFTED = "image in 8 channels", "pooling by shifted maxima"


class Windows(NamedTuple):
    """What a step is given: windows, labelled pixels a side, and maps before the output layer where that is alone."""

    batch: int
    tile: int
    maps: int = 224


def step_row(
    architecture: str, *, precision: str, windows: Windows, repeats: int, rate: float, variant: str = SHIPPED
) -> dict[str, Any]:
    """One training step of a TwoPathCNN, a U-Net or the CNN 2 of a cascade, in tiles, compiled as the project does it."""
    network = step_network(architecture, precision=precision, modalities=8 if variant == PADDED else 4)
    batch = random_batch(network, architecture, windows=windows)
    if variant == DIRECT:
        network.get_layer("output").form = "direct"
    trainer = compiled(network)
    with patched_pooling() if variant == SHIFTED else contextlib.nullcontext():
        started = time.perf_counter()
        loss = float(trainer.train_on_batch(*batch))
        first, device = time.perf_counter() - started, step_seconds(trainer, batch, repeats=repeats)
    needed = windows.batch * training_operations(architecture, side=windows.tile, classes=len(CLASSES))
    return {
        "network": {"two_path": "two_path (CNN 1)", "unet": "unet"}.get(architecture, f"{architecture}, CNN 2"),
        "precision": precision,
        "variant": variant,
        "batch": windows.batch,
        "tile": windows.tile,
        "device, ms": round(1e3 * device, 3),
        "labelled pixels per second": round(windows.batch * windows.tile**2 / device),
        "first time, s": round(first, 1),
        "loss": round(loss, 4),
        "share of R": round(needed / device / rate, 4),
    }


def step_kernels(architecture: str, *, precision: str, windows: Windows, steps: int = 5) -> list[dict[str, Any]]:
    """The kernels of some steps as shipped."""
    trainer = compiled(network := step_network(architecture, precision=precision))
    batch = random_batch(network, architecture, windows=windows)
    trainer.train_on_batch(*batch)
    return kernel_rows(lambda: [trainer.train_on_batch(*batch) for _ in range(steps)])


def patched_pooling() -> Any:
    """A TwoPathCNN's max-pooling, of 2 or 4 pixels with stride 1, by maxima of shifted maps: its gradient is a selection."""
    import keras

    def call(layer: Any, inputs: Any) -> Any:
        for axis, side in enumerate(layer.pool_size, start=1):
            reach = 1
            while reach < side:
                front, back = [slice(None)] * 4, [slice(None)] * 4
                front[axis], back[axis] = slice(None, -reach), slice(reach, None)
                inputs = keras.ops.maximum(inputs[tuple(front)], inputs[tuple(back)])
                reach *= 2
        return inputs

    return patch.object(keras.layers.MaxPooling2D, "call", call)


def step_network(architecture: str, *, precision: str, modalities: int = 4) -> Any:
    """What a training moves, at full width."""
    from brats_cascade.models.build import build_model
    from brats_cascade.models.cascade import build_cnn2
    from brats_cascade.models.coarse import build_coarse_cnn2
    from brats_cascade.models.two_path import Style

    style, classes = Style(precision=precision), len(CLASSES)
    if architecture == "input_cascade":
        return build_cnn2(architecture, classes=classes, style=style)
    if architecture == "coarse_cascade":
        return build_coarse_cnn2(classes=classes, style=style)
    return build_model(architecture, modalities=modalities, classes=classes, style=style)


def random_batch(network: Any, architecture: str, *, windows: Windows) -> tuple[Any, np.ndarray, np.ndarray]:
    """Inputs, class numbers and weights of one step."""
    from brats_cascade.models.cascade import CNN2, GEOMETRY

    geometry = CNN2 if architecture == "input_cascade" else GEOMETRY[architecture]
    rng, side = np.random.default_rng(0), windows.tile + geometry.patch - 1
    sides = (side, side // geometry.step[0])
    inputs = [
        rng.normal(size=(windows.batch, own, own, given.shape[-1])).astype(np.float32)
        for own, given in zip(sides, network.inputs, strict=False)
    ]
    shape = windows.batch, windows.tile, windows.tile
    targets = rng.integers(0, len(CLASSES), (*shape, 1)).astype(np.uint8)
    return inputs if len(inputs) > 1 else inputs[0], targets, np.ones(shape, np.float32)


def compiled(network: Any) -> Any:
    """A network up to its scores, compiled as a training compiles it."""
    from brats_cascade.models.cascade import score_model
    from brats_cascade.training.losses import build_loss
    from brats_cascade.training.optimizers import RateShareAdam

    trainer = score_model(network)
    loss = build_loss("cross_entropy", classes=len(CLASSES), reduction="mean_with_sample_weight")
    trainer.compile(optimizer=RateShareAdam(1e-4, global_clipnorm=1.0), loss=loss, jit_compile=True)
    return trainer


def layer_row(form: str, *, precision: str, windows: Windows, repeats: int) -> dict[str, Any]:
    """The 21x21 output layer alone, forward and in a step, on maps that lie on the device."""
    import keras

    from brats_cascade.models.layers import WideOutput

    policy = "mixed_bfloat16" if precision == "bfloat16" else precision
    inputs = keras.Input((None, None, windows.maps))
    model = keras.Model(inputs, WideOutput(len(CLASSES), form=form, dtype=policy)(inputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss, jit_compile=True)
    rng, side = np.random.default_rng(0), windows.tile + 20
    image = rng.normal(size=(windows.batch, side, side, windows.maps)).astype(np.float32)
    target = rng.integers(0, len(CLASSES), (windows.batch, windows.tile, windows.tile, 1))
    model.train_on_batch(image, target)
    step = step_seconds(model, (image, target, None), repeats=repeats)
    forward = predict_seconds(10 * recorded(lambda: model.predict_on_batch(image)), repeats=repeats) / 10
    return {
        "form": form,
        "precision": precision,
        "batch": windows.batch,
        "tile": windows.tile,
        "forward, ms": round(1e3 * forward, 3),
        "training step, ms": round(1e3 * step, 3),
    }
