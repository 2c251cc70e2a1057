"""A plain 2-D U-Net, the usual choice today, as a baseline for the paper's networks.

It is not in the paper. It has the usual form: two 3x3 convolutions per level, four 2x2 max-poolings, transposed
convolutions, and twice as many maps on each level as on the one above. Two extra layers, which pad the input and crop the
output, let it take windows of any size. Like the other networks it maps a window to the outputs of all pixels except a halo,
so the same code trains, scores and uses it.

Its convolutions pad with zeros, and its pixels depend on where the window begins, so dense inference and single windows do
not give exactly the same numbers, unlike the paper's valid convolutions. The halo of 32 pixels, which is cropped from the
output, keeps the influence of the zeros small; the field of view is larger than the halo.
"""

from typing import Any

import keras
from keras import ops

from brats_cascade.models.cascade import GEOMETRY
from brats_cascade.models.layers import Shape
from brats_cascade.models.two_path import FULL, Style, relu_block

POOLINGS = 4
MAPS = 16  # maps of the first level at full width; 1.94 M parameters in all


@keras.saving.register_keras_serializable(package="brats_cascade")
class RoundUp(keras.layers.Layer):
    """Pads below and to the right with zeros, the value of air, so that both sides are multiples of a number.

    Raises:
        ValueError: The number is below 1.
    """

    def __init__(self, multiple: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if multiple < 1:
            raise ValueError(f"RoundUp needs multiple >= 1, received multiple={multiple}")
        self.multiple = multiple

    def call(self, inputs: Any) -> Any:
        """(batch, rows, columns, maps) -> the same with both sides rounded up."""
        rows, columns = ops.shape(inputs)[1:3]
        return ops.pad(inputs, ((0, 0), (0, -rows % self.multiple), (0, -columns % self.multiple), (0, 0)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The sides are rounded up, if they are known."""
        batch, *sides, maps = input_shape
        return (batch, *(None if side is None else side + -side % self.multiple for side in sides), maps)

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {**super().get_config(), "multiple": self.multiple}


@keras.saving.register_keras_serializable(package="brats_cascade")
class CropHalo(keras.layers.Layer):
    """Crops maps of a padded window to the original window, minus a halo of the given width on every side.

    Raises:
        ValueError: The halo is below 0.
    """

    def __init__(self, halo: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if halo < 0:
            raise ValueError(f"CropHalo needs halo >= 0, received halo={halo}")
        self.halo = halo

    def call(self, inputs: Any, window: Any) -> Any:
        """Maps (batch, R >= rows, C >= columns, maps), window (batch, rows, columns, ...) -> (batch, rows - 2 halo, ...)."""
        rows, columns = ops.shape(window)[1:3]
        return inputs[:, self.halo : rows - self.halo, self.halo : columns - self.halo]

    def compute_output_shape(self, inputs_shape: Shape, window_shape: Shape) -> Shape:
        """The window's shape minus the halo, with the maps' channels."""
        sides = [None if side is None else side - 2 * self.halo for side in window_shape[1:3]]
        return (inputs_shape[0], *sides, inputs_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {**super().get_config(), "halo": self.halo}


def build_unet(*, modalities: int = 4, classes: int = 5, style: Style = FULL) -> keras.Model:
    """U-Net: each side of the output is 64 pixels smaller than that of the input.

    It maps (batch, rows, columns, modalities) to probabilities (batch, rows - 64, columns - 64, classes). The style's
    `width` is a share of the 16, 32, 64, 128 and 256 maps; `maxout` and `pooling` have no effect.
    """
    return unet_model(keras.Input((None, None, modalities), name="image"), classes=classes, style=style, name="unet")


def unet_model(image: Any, *, classes: int, style: Style, name: str) -> keras.Model:
    """A U-Net on a Keras tensor (batch, rows, columns, channels); its output lacks the halo of the architecture `name`."""
    maps = [style.maps(MAPS * 2**level) for level in range(POOLINGS + 1)]
    x: Any = RoundUp(2**POOLINGS, dtype=style.policy, name="round_up")(image)
    skipped = []
    for level in range(POOLINGS):
        x = _two_convolutions(x, maps=maps[level], style=style, name=f"down{level + 1}")
        skipped.append(x)
        x = keras.layers.MaxPooling2D(2, dtype=style.policy, name=f"down{level + 1}_pool")(x)
    x = _two_convolutions(x, maps=maps[-1], style=style, name="bottom")
    for level in reversed(range(POOLINGS)):
        up = f"up{level + 1}"
        x = keras.layers.Conv2DTranspose(maps[level], 2, strides=2, name=f"{up}_wider", **style.kernel())(x)
        x = keras.layers.Concatenate(dtype=style.policy, name=f"{up}_join")([skipped[level], x])
        x = _two_convolutions(x, maps=maps[level], style=style, name=up)
    x = CropHalo(GEOMETRY[name].before, dtype=style.policy, name="crop_halo")(x, image)
    scores = keras.layers.Conv2D(classes, 1, name="output", **{**style.kernel(), "dtype": "float32"})(x)
    return keras.Model(image, keras.layers.Softmax(dtype="float32", name="probabilities")(scores), name=name)


def _two_convolutions(x: Any, *, maps: int, style: Style, name: str) -> Any:
    """Two times 3x3 convolution, normalisation and ReLU; the sides do not change."""
    for step in ("a", "b"):
        x = relu_block(x, maps=maps, size=3, style=style, name=f"{name}{step}", padding="same")
    return x
