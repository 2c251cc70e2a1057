"""The coarse cascade: the paper's cascade and two pathways, with most of the arithmetic on cells of 2 mm.

It is not in the paper. CNN 1, a U-Net, classifies cells of 2 mm from a slab of them and its neighbours. CNN 2 has the paper's
two pathways with valid convolutions: it classifies pixels from the slice and, on cells, from the slice's means, the means of
the slices 2 mm below and above, and CNN 1's probabilities.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from brats_cascade.data.grid import SLABS
from brats_cascade.models.cascade import Geometry
from brats_cascade.models.layers import Shape
from brats_cascade.models.two_path import FULL, Style, classify, conv_block
from brats_cascade.models.unet import unet_model

COARSE, COARSE_CNN1 = "coarse_cascade", "coarse_cnn1"
DILATIONS = (1, 1, 1, 2, 2)  # kernel sides of CNN 2's global path
REACH = sum(DILATIONS)  # cells of the 2 mm grid
SUB = 2  # each cell has separate maps for its 2 x 2 parts


@keras.saving.register_keras_serializable(package="brats_cascade")
class SpreadCells(keras.layers.Layer):
    """Rearranges maps of cells, each with its 2 x 2 parts as channels, into maps of pixels (depth to space).

    A cell has `steps` pixels (rows, columns). If a cell has one pixel along an axis, the pixel gets the mean of the parts; if
    it has more than two, each pixel gets the part that it lies in.
    """

    def __init__(self, steps: tuple[int, int] = (SUB, SUB), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if min(steps) < 1:
            raise ValueError(f"SpreadCells needs steps >= 1, received steps={tuple(steps)}")
        self.steps = (int(steps[0]), int(steps[1]))

    def call(self, inputs: Any) -> Any:
        """(batch, rows, columns, 4 * maps) -> (batch, rows * steps[0], columns * steps[1], maps)."""
        _, rows, columns, _ = ops.shape(inputs)
        maps = inputs.shape[-1] // SUB**2
        parts = ops.reshape(inputs, (-1, rows, columns, SUB, SUB, maps))
        for axis, step in ((3, self.steps[0]), (4, self.steps[1])):
            if step == 1:
                parts = ops.mean(parts, axis=axis, keepdims=True)
            elif step != SUB:
                parts = ops.take(parts, [place * SUB // step for place in range(step)], axis=axis)
        pixels = ops.transpose(parts, (0, 1, 3, 2, 4, 5))
        return ops.reshape(pixels, (-1, rows * self.steps[0], columns * self.steps[1], maps))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The sides are multiplied by the steps, the number of maps is divided by four."""
        batch, rows, columns, maps = input_shape
        assert maps is not None
        sides = [None if side is None else side * step for side, step in zip((rows, columns), self.steps, strict=True)]
        return (batch, *sides, maps // SUB**2)

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {**super().get_config(), "steps": list(self.steps)}


def coarse_geometry(steps: tuple[int, int]) -> Geometry:
    """CNN 2's field of view for cells of `steps` pixels (rows, columns): 18 pixels to every side for cells of 2 x 2 pixels."""
    multiple = math.lcm(*steps)
    halo = -(-(REACH * max(steps) + 3) // multiple) * multiple
    return Geometry(halo, halo, step=steps, reads="grid")


def build_coarse_cnn1(*, modalities: int = 4, classes: int = 5, style: Style = FULL) -> keras.Model:
    """CNN 1: a U-Net on cells of 2 mm.

    It maps (batch, rows, columns, 5 * (modalities + 1)), slabs and their neighbours as in `slabs_of`, to probabilities
    (batch, rows - 32, columns - 32, classes). The style acts as in `build_unet`.
    """
    slabs = keras.Input((None, None, (2 * SLABS + 1) * (modalities + 1)), name="slabs")
    return unet_model(slabs, classes=classes, style=style, name=COARSE_CNN1)


def build_coarse_cnn2(
    *, modalities: int = 4, classes: int = 5, style: Style = FULL, steps: tuple[int, int] = (SUB, SUB)
) -> keras.Model:
    """CNN 2: the local path on pixels, the global path on cells of 2 mm.

    It maps [image (batch, rows, columns, modalities), cells (batch, rows / steps[0], columns / steps[1], 3 * modalities +
    classes): means of the slice and of those below and above, CNN 1's probabilities] to probabilities of all pixels except the
    halo of `coarse_geometry(steps)`. A cell has `steps` pixels (rows, columns); the shapes of the weights do not depend on it.
    The style's `width` is a share of 16 local, 40 global and 16 joint maps; `pooling` has no effect.
    """
    local_maps, global_maps, crops = style.maps(16), style.maps(40), _crops(steps)
    image = keras.Input((None, None, modalities), name="image")
    cells = keras.Input((None, None, 3 * modalities + classes), name="cells")
    local = keras.layers.Cropping2D(**crops["local_crop"], dtype="float32", name="local_crop")(image)
    for number in (1, 2):
        local = conv_block(local, maps=local_maps, size=3, style=style, name=f"local{number}")
    wide = cells
    for number, dilation in enumerate(DILATIONS, start=1):
        wide = conv_block(wide, maps=global_maps, size=3, dilation=dilation, style=style, name=f"global{number}")
    wide = conv_block(wide, maps=SUB**2 * local_maps, size=1, style=style, name="parts")
    wide = SpreadCells(steps, dtype=style.policy, name="spread")(wide)
    wide = keras.layers.Cropping2D(**crops["global_crop"], dtype=style.policy, name="global_crop")(wide)
    joined = keras.layers.Concatenate(dtype=style.policy, name="paths")([local, wide])
    joined = conv_block(joined, maps=local_maps, size=3, style=style, name="join")
    return keras.Model([image, cells], _classify(joined, classes=classes, size=5, style=style), name="cnn2")


def mean_of(cnn1s: Sequence[keras.Model]) -> keras.Model:
    """A CNN 1 whose probabilities are the mean over several CNN 1s of a coarse cascade; layers and weights are shared.

    A single one is returned as it is.
    """
    if len(cnn1s) == 1:
        return cnn1s[0]
    slabs = keras.Input(cnn1s[0].input_shape[1:], name="slabs")
    members = [keras.Model(one.inputs, one.outputs[0], name=f"member{number}") for number, one in enumerate(cnn1s, 1)]
    mean = keras.layers.Average(dtype="float32", name="mean")([member(slabs) for member in members])
    return keras.Model(slabs, mean, name=COARSE_CNN1)


def members_of(cnn1: keras.Model) -> list[keras.Model]:
    """The CNN 1s whose mean it is, or the CNN 1 itself."""
    return [layer for layer in cnn1.layers if isinstance(layer, keras.Model)] or [cnn1]


def join_coarse(*, cnn1: keras.Model, cnn2: keras.Model) -> keras.Model:
    """Joins both CNNs into one network, for its file only: in use, CNN 1 processes a whole case before CNN 2's first slice.

    It maps [slabs, image, cells] to [probabilities of CNN 1, probabilities of CNN 2]; layers and weights are shared.
    """
    inputs = [keras.Input(given.shape[1:], name=given.name) for given in (*cnn1.inputs, *cnn2.inputs)]
    first = keras.Model(cnn1.inputs, cnn1.outputs[0], name="cnn1")
    return keras.Model(inputs, [first(inputs[0]), cnn2(inputs[1:])], name=COARSE)


def with_steps(cnn2: keras.Model, *, steps: tuple[int, int]) -> keras.Model:
    """CNN 2 for cells of `steps` pixels: the same network if it already has them, otherwise a new one with the same weights."""
    if cnn2.get_layer("spread").steps == steps:
        return cnn2
    twin = _twin(cnn2, steps)
    twin.set_weights(cnn2.get_weights())
    return twin


@functools.lru_cache(maxsize=4)  # consecutive cases mostly have the same grid
def _twin(cnn2: keras.Model, steps: tuple[int, int]) -> keras.Model:
    config = cnn2.get_config()
    changed = {"spread": {"steps": steps}, **_crops(steps)}
    for layer in config["layers"]:
        layer["config"] |= changed.get(layer["config"]["name"], {})
    return keras.Model.from_config(config)


def _crops(steps: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """The crops of both paths that make their outputs meet and start where the halo ends."""
    halo = coarse_geometry(steps).before
    spare = [halo - 3 - REACH * step for step in steps]
    return {
        "local_crop": {"cropping": ((halo - 5, halo - 5), (halo - 5, halo - 5))},
        "global_crop": {"cropping": ((spare[0], spare[0]), (spare[1], spare[1]))},
    }


def _classify(features: Any, *, classes: int, size: int, style: Style) -> Any:
    """A convolution to the classes, with an initial score variance of about 1, and a softmax over them."""
    spread = math.sqrt(1 / (size**2 * features.shape[-1]))
    return classify(features, classes=classes, style=style, size=size, spread=spread)
