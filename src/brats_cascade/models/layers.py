"""Layers that Keras lacks: maxout over maps, the wide output convolution in its fast form, and a bound on kernel weights."""

from typing import Any

import keras
from keras import ops

VECTOR = 16  # float32 values in the widest vector register
Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="brats_cascade")
class AbsoluteBound(keras.constraints.Constraint):
    """Keeps every kernel weight within -bound..bound (paper section 3.2, which gives no number).

    Raises:
        ValueError: The bound is not above 0.
    """

    def __init__(self, bound: float) -> None:
        if bound <= 0:
            raise ValueError(f"AbsoluteBound needs bound > 0, received bound={bound}")
        self.bound = bound

    def __call__(self, w: Any) -> Any:
        """Clips an array of any shape."""
        return ops.clip(w, -self.bound, self.bound)

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {"bound": self.bound}


@keras.saving.register_keras_serializable(package="brats_cascade")
class Maxout(keras.layers.Layer):
    """Maximum over groups of maps (paper section 3, Fig. 1: each feature map is the maximum of K kernels' maps).

    The channel axis holds the K pieces one after another: maps 0..n-1 of piece 1, then those of piece 2, and so on.

    `pieces` is K, the number of maps per output map, and must divide the channels; 1 leaves the input unchanged.

    Raises:
        ValueError: `pieces` is below 1, or, when the layer is built, does not divide the channels.
    """

    def __init__(self, pieces: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if pieces < 1:
            raise ValueError(f"Maxout needs pieces >= 1, received pieces={pieces}")
        self.pieces = pieces

    def build(self, input_shape: Shape) -> None:
        """Checks the channel count."""
        channels = input_shape[-1]
        if channels is None or channels % self.pieces:
            raise ValueError(f"Maxout(pieces={self.pieces}) needs a multiple of it as channels, received {input_shape}")
        self.built = True

    def call(self, inputs: Any) -> Any:
        """(batch, rows, columns, K * maps) -> (batch, rows, columns, maps)."""
        # Pairwise maxima of a split have cheap gradients (a selection and one concatenation). Slices take three times as long
        # on a CPU, and the gradient of a reduction has to compare values and count ties.
        first, *others = ops.split(inputs, self.pieces, axis=-1)
        for other in others:
            first = ops.maximum(first, other)
        return first

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape with the channels divided by K."""
        channels = input_shape[-1]
        assert channels is not None
        return (*input_shape[:-1], channels // self.pieces)

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {**super().get_config(), "pieces": self.pieces}


@keras.saving.register_keras_serializable(package="brats_cascade")
class WideOutput(keras.layers.Layer):
    """A valid convolution with a large square kernel and few output maps (paper section 3: 21x21 to the classes).

    A direct convolution to 5 maps leaves most of a vector unit idle, and on a CPU its kernel gradient is a hundred times slower
    than necessary. Therefore the kernel's columns become maps: a size x 1 convolution to size * classes maps, followed by a sum
    over shifted columns. Values and gradients equal those of the direct convolution; the weight is stored as the single
    (size, size, maps, classes) kernel that the paper describes.

    Args:
        classes: Number of output maps.
        size: Side of the kernel, pixels.
        spread: Standard deviation of the initial kernel. The layer sums size * size * maps inputs (98,784 in the paper),
            so it must be small for the first loss to be close to log(classes).
        form: "columns" (the fast form), "relative" (fast, for scores minus those of class 0, which have the same softmax
            and need no arithmetic for class 0), or "direct" (one convolution, for comparison and for devices on which it
            is faster).
        kernel_initializer: Overrides `spread`, for the paper's uniform initialisation.
        kernel_regularizer: As in Keras.
        kernel_constraint: As in Keras.

    Raises:
        ValueError: There is no such form.
    """

    def __init__(
        self,
        classes: int,
        *,
        size: int = 21,
        spread: float = 0.0005,
        form: str = "columns",
        kernel_initializer: Any = None,
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if form not in ("columns", "relative", "direct"):
            raise ValueError(
                f"WideOutput needs form 'columns' or 'direct', or 'relative' for inference, received {form!r}"
            )
        self.classes = classes
        self.size = size
        self.spread = spread
        self.form = form
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or keras.initializers.RandomNormal(0, spread)
        )
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)

    def build(self, input_shape: Shape) -> None:
        """Creates the kernel (size, size, maps, classes) and the bias (classes)."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.size, self.size, input_shape[-1], self.classes),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = self.add_weight(name="bias", shape=(self.classes,), initializer="zeros")
        self.built = True

    def call(self, inputs: Any) -> Any:
        """(batch, rows, columns, maps) -> float32 (batch, rows - size + 1, columns - size + 1, classes)."""
        if self.form == "direct":
            sums = ops.cast(ops.conv(inputs, self.kernel, padding="valid", data_format="channels_last"), "float32")
            return sums + ops.cast(self.bias, "float32")
        if self.form == "columns":
            return self._by_columns(inputs, kernel=self.kernel) + ops.cast(self.bias, "float32")
        sums = self._by_columns(inputs, kernel=self.kernel[..., 1:] - self.kernel[..., :1])
        bias = ops.cast(self.bias, "float32")
        return ops.pad(sums + (bias[1:] - bias[:1]), ((0, 0), (0, 0), (0, 0), (1, 0)))

    def _by_columns(self, inputs: Any, *, kernel: Any) -> Any:
        _, _, maps, outputs = kernel.shape
        tall = ops.reshape(ops.transpose(kernel, (0, 2, 1, 3)), (self.size, 1, maps, self.size * outputs))
        # Padded with zeros to whole vectors, because a convolution to 84 maps takes longer than one to 96.
        # (`pad` is not used, because TensorFlow 2.21 mistakes it for padding of the image and aborts.)
        spare = -tall.shape[-1] % VECTOR
        if spare:
            tall = ops.concatenate([tall, ops.zeros((self.size, 1, maps, spare), dtype=tall.dtype)], axis=-1)
        partial = ops.cast(ops.conv(inputs, tall, padding="valid", data_format="channels_last"), "float32")
        columns = ops.shape(inputs)[2] - self.size + 1
        ends = [outputs * (shift + 1) for shift in range(self.size)]
        parts = ops.split(partial, ends if spare else self.size, axis=-1)[: self.size]
        return sum(part[:, :, shift : shift + columns] for shift, part in enumerate(parts))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of a valid convolution's output."""
        batch, rows, columns, _ = input_shape
        shrunk = [None if side is None else side - self.size + 1 for side in (rows, columns)]
        return (batch, *shrunk, self.classes)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """The output is float32 in any precision."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "size": self.size,
            "spread": self.spread,
            "form": self.form,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
        }
