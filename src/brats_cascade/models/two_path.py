"""The two-pathway network (paper section 3.1.1, Fig. 2), built from blocks that the cascades also use."""

from dataclasses import dataclass, fields
from typing import Any

import keras

from brats_cascade.models.layers import AbsoluteBound, Maxout, WideOutput


@dataclass(frozen=True)
class Style:
    """The settings of a network other than its architecture.

    Attributes:
        width: Share of the paper's 64 local and 160 global maps.
        maxout: K of the maxout; 1 means a ReLU instead of it.
        normalisation: "batch" normalisation after each maxout or before each ReLU, "dropout" after either, or "none".
        pooling: "max" (paper), or "conv": each max-pooling is a ReLU convolution of that size (earlier work).
        dropout: Dropout rate for normalisation "dropout".
        l1: Weight of the sum of the kernels' absolute values in the loss.
        l2: Weight of the sum of the kernels' squares in the loss.
        kernel_bound: Largest absolute value of a kernel weight, enforced after every step (paper section 3.2, which gives
            no number); 0 means no bound.
        cnn1_output: The output of CNN 1 that a cascade's CNN 2 uses: "probabilities" (paper section 3.1.2), or
            "relu_batch", scores through a ReLU and batch normalisation (earlier work).
        start: "he", or "paper" for kernels from U(-0.005, 0.005).
        precision: "float32", or "bfloat16": layers compute in bfloat16, weights and outputs stay float32.
        axes: "one", or "all": trained on slices along all three axes; probabilities are the mean over them. In a coarse
            cascade this concerns CNN 1 alone.
    """

    width: float = 1.0
    maxout: int = 2
    normalisation: str = "batch"
    pooling: str = "max"
    dropout: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    kernel_bound: float = 0.0
    cnn1_output: str = "probabilities"
    start: str = "he"
    precision: str = "float32"
    axes: str = "one"

    @classmethod
    def of(cls, settings: Any) -> "Style":
        """The settings of a training that determine the network."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})

    def maps(self, count: int) -> int:
        """The number of maps for a number at full width."""
        return max(1, round(count * self.width))

    @property
    def policy(self) -> str:
        """The Keras dtype policy."""
        return "mixed_bfloat16" if self.precision == "bfloat16" else "float32"

    def kernel(self, *, start: Any = "he_normal") -> dict[str, Any]:
        """The arguments for a layer with a kernel; `start` is the initializer unless the style has the paper's uniform one."""
        paper = keras.initializers.RandomUniform(-0.005, 0.005)  # draws its seed even if it is not used
        return {
            "kernel_initializer": paper if self.start == "paper" else start,
            "kernel_regularizer": keras.regularizers.L1L2(self.l1, self.l2) if self.l1 or self.l2 else None,
            "kernel_constraint": AbsoluteBound(self.kernel_bound) if self.kernel_bound else None,
            "dtype": self.policy,
        }

    def normalise(self, maps: Any, *, name: str) -> Any:
        """Batch normalisation, dropout of whole maps, or neither."""
        if self.normalisation == "batch":
            return keras.layers.BatchNormalization(momentum=0.95, dtype=self.policy, name=f"{name}_norm")(maps)
        if self.normalisation == "dropout":
            return keras.layers.SpatialDropout2D(self.dropout, dtype=self.policy, name=f"{name}_dropout")(maps)
        return maps


FULL = Style()


def conv_block(inputs: Any, *, maps: int, size: int, style: Style, name: str, pool: int = 1, dilation: int = 1) -> Any:
    """One block of a path: convolution, maxout, normalisation, pooling; the names of its layers begin with `name`.

    Without maxout (K = 1) it is a `relu_block` and the pooling.

    The output has `maps` channels, and each side is smaller by dilation * (size - 1) + pool - 1. `size` is the kernel's side,
    `pool` the side of the pooling window (stride 1), and `dilation` the distance between neighbouring kernel weights, pixels.
    """
    convolution = keras.layers.Conv2D
    if style.maxout == 1:
        x = relu_block(inputs, maps=maps, size=size, style=style, name=name, dilation_rate=dilation)
    else:
        x = convolution(maps * style.maxout, size, dilation_rate=dilation, name=f"{name}_conv", **style.kernel())(
            inputs
        )
        x = style.normalise(Maxout(style.maxout, dtype=style.policy, name=f"{name}_maxout")(x), name=name)
    if pool == 1:
        return x
    if style.pooling == "max":
        return keras.layers.MaxPooling2D(pool, strides=1, dtype=style.policy, name=f"{name}_pool")(x)
    return convolution(maps, pool, activation="relu", name=f"{name}_pool", **style.kernel())(x)


def relu_block(inputs: Any, *, maps: int, size: int, style: Style, name: str, **convolution: Any) -> Any:
    """Convolution, batch normalisation, ReLU, or convolution, ReLU, dropout: the usual order today, as in the U-Net.

    Further arguments are those of Keras's Conv2D.
    """
    x = keras.layers.Conv2D(maps, size, name=f"{name}_conv", **convolution, **style.kernel())(inputs)
    if style.normalisation == "batch":
        x = style.normalise(x, name=name)
    x = keras.layers.ReLU(dtype=style.policy, name=f"{name}_relu")(x)
    return style.normalise(x, name=name) if style.normalisation == "dropout" else x


def two_path_features(inputs: Any, *, style: Style, after_first_local: Any = None, before_output: Any = None) -> Any:
    """Both paths and their concatenation: 33x33 -> 21x21 with 224 maps at full width.

    It maps a Keras tensor (batch, rows, columns, channels) to (batch, rows - 12, columns - 12, maps). CNN 1's maps join the
    local path after its first block (LocalCascadeCNN), or the concatenation before the output (MFCascadeCNN).
    """
    join = keras.layers.Concatenate
    local = conv_block(inputs, maps=style.maps(64), size=7, pool=4, style=style, name="local1")
    if after_first_local is not None:
        local = join(dtype=style.policy, name="join_local")([local, after_first_local])
    local = conv_block(local, maps=style.maps(64), size=3, pool=2, style=style, name="local2")
    wide = conv_block(inputs, maps=style.maps(160), size=13, pool=1, style=style, name="global")
    parts = [local, wide] if before_output is None else [local, wide, before_output]
    return join(dtype=style.policy, name="paths")(parts)


def classify(features: Any, *, classes: int, style: Style, size: int = 21, spread: float = 0.0005) -> Any:
    """The output layer: a convolution to the classes (21x21 in the paper's networks) and a softmax over them.

    It maps a Keras tensor (batch, rows, columns, maps) to float32 probabilities (batch, rows - size + 1, columns - size + 1,
    classes); `spread` is the standard deviation of the initial kernel.
    """
    scores = WideOutput(classes, size=size, spread=spread, name="output", **style.kernel(start=None))(features)
    return keras.layers.Softmax(dtype="float32", name="probabilities")(scores)


def build_two_path(*, modalities: int = 4, classes: int = 5, style: Style = FULL) -> keras.Model:
    """TwoPathCNN (paper Fig. 2): 33x33 image pixels per output pixel.

    It maps (batch, rows, columns, modalities) to probabilities (batch, rows - 32, columns - 32, classes).
    """
    image = keras.Input((None, None, modalities), name="image")
    features = two_path_features(image, style=style)
    return keras.Model(image, classify(features, classes=classes, style=style), name="two_path")
