"""Two layers that let a network which halves its maps take windows of any side: round up first, cut back at the end."""

from typing import Any

import keras
from keras import ops

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable(package="brats_cascade")
class RoundUp(keras.layers.Layer):
    """Zeros below and to the right, so that both sides become multiples of a number; zero is what air is.

    Args:
        multiple: Of what; sides that are one already stay.

    Raises:
        ValueError: `multiple` below 1.
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
        """Shape with the sides rounded up, where they are known."""
        batch, *sides, maps = input_shape
        return (batch, *(None if side is None else side + -side % self.multiple for side in sides), maps)

    def get_config(self) -> dict[str, Any]:
        """Arguments of `__init__`."""
        return {**super().get_config(), "multiple": self.multiple}


@keras.saving.register_keras_serializable(package="brats_cascade")
class CropHalo(keras.layers.Layer):
    """Cuts maps on a rounded-up window back to the window, less a halo on every side.

    Args:
        halo: Pixels cut off on each side of the window.

    Raises:
        ValueError: `halo` below 0.
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
        """Shape of the window less the halo, with the maps' channels."""
        sides = [None if side is None else side - 2 * self.halo for side in window_shape[1:3]]
        return (inputs_shape[0], *sides, inputs_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Arguments of `__init__`."""
        return {**super().get_config(), "halo": self.halo}
