"""The bound on kernel weights."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="brats_cascade")
class AbsoluteBound(keras.constraints.Constraint):
    """Keeps every weight of a kernel within -bound..bound (paper section 3.2: bounded kernel weights; no number printed).

    Args:
        bound: Largest absolute value.

    Raises:
        ValueError: A bound that is not positive.
    """

    def __init__(self, bound: float) -> None:
        if bound <= 0:
            raise ValueError(f"AbsoluteBound needs bound > 0, received bound={bound}")
        self.bound = bound

    def __call__(self, w: Any) -> Any:
        """Any shape -> the same shape, clipped."""
        return ops.clip(w, -self.bound, self.bound)

    def get_config(self) -> dict[str, Any]:
        """Arguments of `__init__`."""
        return {"bound": self.bound}
