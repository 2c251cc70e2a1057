"""The two-pathway network (paper section 3.1.1, Fig. 2), as blocks that the cascades reuse."""

from dataclasses import dataclass
from typing import Any

import keras

from brats_cascade.models.constraints import AbsoluteBound
from brats_cascade.models.layers import Maxout, WideOutput


@dataclass(frozen=True)
class Style:
    """Everything about a network but its architecture.

    Attributes:
        width: Share of the paper's 64 local and 160 global maps.
        maxout: K of the maxout.
        normalisation: After each maxout: "batch" normalisation, "dropout", or "none".
        pooling: "max" (paper), or "conv": each max-pool is a ReLU convolution of that size (earlier work).
        dropout: Rate, with normalisation "dropout".
        l1: Weight of the kernels' absolute sum in the loss.
        l2: Weight of the kernels' square sum in the loss.
        kernel_bound: Largest absolute value of a kernel's weight, enforced after every step (paper section 3.2 bounds it,
            prints no number); 0 leaves it out.
        cnn1_output: What of CNN 1 joins a cascade's CNN 2: its "probabilities" (paper section 3.1.2), or "relu_batch", its
            scores through a ReLU and batch normalisation (earlier work).
        start: "he", or "paper" for kernels from U(-0.005, 0.005).
        precision: "float32", or "bfloat16": layers compute in bfloat16, weights and outputs stay float32.
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

    @property
    def local_maps(self) -> int:
        """Maps of each block of the local path."""
        return max(1, round(64 * self.width))

    @property
    def global_maps(self) -> int:
        """Maps of the global path."""
        return max(1, round(160 * self.width))

    @property
    def policy(self) -> str:
        """The Keras dtype policy."""
        return "mixed_bfloat16" if self.precision == "bfloat16" else "float32"

    def regulariser(self) -> Any:
        """L1 + L2 on a kernel, or None."""
        return keras.regularizers.L1L2(self.l1, self.l2) if self.l1 or self.l2 else None

    def constraint(self) -> Any:
        """The bound on a kernel, or None."""
        return AbsoluteBound(self.kernel_bound) if self.kernel_bound else None

    def kernel_start(self, *, default: Any) -> Any:
        """The initializer of a kernel: the paper's uniform one, or the given one."""
        paper = keras.initializers.RandomUniform(-0.005, 0.005)  # takes its seed from the stream even if it is not used
        return paper if self.start == "paper" else default


def conv_block(inputs: Any, *, maps: int, size: int, style: Style, name: str, pool: int = 1, dilation: int = 1) -> Any:
    """Convolution, maxout, normalisation, pooling: one block of a path.

    Args:
        inputs: Keras tensor (batch, rows, columns, channels).
        maps: Output maps.
        size: Side of the kernel, pixels.
        style: Everything else.
        name: Prefix of the layers' names.
        pool: Side of the pooling window, stride 1; 1 for none.
        dilation: Distance of the kernel's neighbouring weights, pixels.

    Returns:
        Keras tensor, each side smaller by dilation * (size - 1) + pool - 1.
    """
    x = keras.layers.Conv2D(
        maps * style.maxout,
        size,
        dilation_rate=dilation,
        kernel_initializer=style.kernel_start(default="he_normal"),
        kernel_regularizer=style.regulariser(),
        kernel_constraint=style.constraint(),
        dtype=style.policy,
        name=f"{name}_conv",
    )(inputs)
    x = Maxout(style.maxout, dtype=style.policy, name=f"{name}_maxout")(x)
    if style.normalisation == "batch":
        x = keras.layers.BatchNormalization(momentum=0.95, dtype=style.policy, name=f"{name}_norm")(x)
    elif style.normalisation == "dropout":
        x = keras.layers.SpatialDropout2D(style.dropout, dtype=style.policy, name=f"{name}_dropout")(x)
    if pool == 1:
        return x
    if style.pooling == "max":
        return keras.layers.MaxPooling2D(pool, strides=1, dtype=style.policy, name=f"{name}_pool")(x)
    return keras.layers.Conv2D(
        maps,
        pool,
        activation="relu",
        kernel_initializer=style.kernel_start(default="he_normal"),
        kernel_regularizer=style.regulariser(),
        kernel_constraint=style.constraint(),
        dtype=style.policy,
        name=f"{name}_pool",
    )(x)


def two_path_features(inputs: Any, *, style: Style, after_first_local: Any = None, before_output: Any = None) -> Any:
    """Both paths and their concatenation: 33x33 -> 21x21 with 224 maps at full width.

    Args:
        inputs: Keras tensor (batch, rows, columns, channels).
        style: Width, normalisation and the rest.
        after_first_local: Maps that join the local path after its first block (LocalCascadeCNN).
        before_output: Maps that join the concatenation (MFCascadeCNN).

    Returns:
        Keras tensor (batch, rows - 12, columns - 12, maps).
    """
    join = keras.layers.Concatenate
    local = conv_block(inputs, maps=style.local_maps, size=7, pool=4, style=style, name="local1")
    if after_first_local is not None:
        local = join(dtype=style.policy, name="join_local")([local, after_first_local])
    local = conv_block(local, maps=style.local_maps, size=3, pool=2, style=style, name="local2")
    wide = conv_block(inputs, maps=style.global_maps, size=13, pool=1, style=style, name="global")
    parts = [local, wide] if before_output is None else [local, wide, before_output]
    return join(dtype=style.policy, name="paths")(parts)


def classify(features: Any, *, classes: int, style: Style, size: int = 21, spread: float = 0.0005) -> Any:
    """The output layer: convolution to the classes, 21x21 in the paper's networks, and a softmax over them.

    Args:
        features: Keras tensor (batch, rows, columns, maps).
        classes: Number of classes.
        style: Width, normalisation and the rest.
        size: Side of the kernel, pixels.
        spread: Standard deviation of the initial kernel.

    Returns:
        float32 Keras tensor (batch, rows - size + 1, columns - size + 1, classes), probabilities.
    """
    scores = WideOutput(
        classes,
        size=size,
        spread=spread,
        kernel_initializer=style.kernel_start(default=None),
        kernel_regularizer=style.regulariser(),
        kernel_constraint=style.constraint(),
        dtype=style.policy,
        name="output",
    )(features)
    return keras.layers.Softmax(dtype="float32", name="probabilities")(scores)


def build_two_path(*, modalities: int = 4, classes: int = 5, style: Style | None = None) -> keras.Model:
    """TwoPathCNN: 33x33 pixels of image per output pixel (paper Fig. 2).

    Args:
        modalities: Channels of the image.
        classes: Output classes.
        style: Width, normalisation and the rest; full width with batch normalisation by default.

    Returns:
        Model from (batch, rows, columns, modalities) to probabilities (batch, rows - 32, columns - 32, classes).
    """
    style = style or Style()
    image = keras.Input((None, None, modalities), name="image")
    features = two_path_features(image, style=style)
    return keras.Model(image, classify(features, classes=classes, style=style), name="two_path")
