"""A plain 2-D U-Net: today's usual choice, as a yardstick for the paper's networks.

Not of the paper. The usual form: two 3x3 convolutions a level, 2x2 max-pooling and transposed convolutions, maps doubled
from level to level, four poolings. It is trained, scored and used by the same code as the others, so it keeps their
contract: a window in, the outputs of all but a halo out.

Its convolutions pad with zeros, and its pixels depend on where the window begins: dense inference and single windows do
not give exactly the same numbers, as they do with the paper's valid convolutions. The halo of 32 pixels, of which nothing
is put out, keeps the zeros' influence small there; a pixel still sees further than that.
"""

from typing import Any

import keras

from brats_cascade.models.cascade import GEOMETRY
from brats_cascade.models.rounding import CropHalo, RoundUp
from brats_cascade.models.two_path import Style

POOLINGS = 4
MAPS = 16  # of the first level at full width; 1.94 M parameters in all


def build_unet(*, modalities: int = 4, classes: int = 5, style: Style | None = None) -> keras.Model:
    """U-Net: each side smaller by 64 pixels, whatever the side.

    Args:
        modalities: Channels of the image.
        classes: Output classes.
        style: `width` is a share of the 16, 32, 64, 128 and 256 maps; `maxout` and `pooling` do nothing here.

    Returns:
        Model from (batch, rows, columns, modalities) to probabilities (batch, rows - 64, columns - 64, classes).
    """
    style = style or Style()
    maps = [max(1, round(MAPS * 2**level * style.width)) for level in range(POOLINGS + 1)]
    image = keras.Input((None, None, modalities), name="image")
    x: Any = RoundUp(2**POOLINGS, dtype=style.policy, name="round_up")(image)
    skipped = []
    for level in range(POOLINGS):
        x = _two_convolutions(x, maps=maps[level], style=style, name=f"down{level + 1}")
        skipped.append(x)
        x = keras.layers.MaxPooling2D(2, dtype=style.policy, name=f"down{level + 1}_pool")(x)
    x = _two_convolutions(x, maps=maps[-1], style=style, name="bottom")
    for level in reversed(range(POOLINGS)):
        name = f"up{level + 1}"
        x = keras.layers.Conv2DTranspose(maps[level], 2, strides=2, name=f"{name}_wider", **_kernel(style))(x)
        x = keras.layers.Concatenate(dtype=style.policy, name=f"{name}_join")([skipped[level], x])
        x = _two_convolutions(x, maps=maps[level], style=style, name=name)
    x = CropHalo(GEOMETRY["unet"].before, dtype=style.policy, name="crop_halo")(x, image)
    scores = keras.layers.Conv2D(classes, 1, name="output", **{**_kernel(style), "dtype": "float32"})(x)
    return keras.Model(image, keras.layers.Softmax(dtype="float32", name="probabilities")(scores), name="unet")


def _two_convolutions(x: Any, *, maps: int, style: Style, name: str) -> Any:
    """Twice: 3x3 convolution, normalisation, ReLU; sides stay."""
    for step in ("a", "b"):
        x = keras.layers.Conv2D(maps, 3, padding="same", name=f"{name}{step}_conv", **_kernel(style))(x)
        if style.normalisation == "batch":
            x = keras.layers.BatchNormalization(momentum=0.95, dtype=style.policy, name=f"{name}{step}_norm")(x)
        x = keras.layers.ReLU(dtype=style.policy, name=f"{name}{step}_relu")(x)
        if style.normalisation == "dropout":
            x = keras.layers.SpatialDropout2D(style.dropout, dtype=style.policy, name=f"{name}{step}_dropout")(x)
    return x


def _kernel(style: Style) -> dict[str, Any]:
    """What every convolution takes from the style."""
    return {
        "kernel_initializer": style.kernel_start(default="he_normal"),
        "kernel_regularizer": style.regulariser(),
        "kernel_constraint": style.constraint(),
        "dtype": style.policy,
    }
