"""The loss: cross-entropy, or its sum with a soft Dice loss of the three regions."""

from typing import Any

import keras
import numpy as np
from keras import ops

from brats_cascade.errors import UserError
from brats_cascade.labels import LABELS, NON_ENHANCING, REGIONS

SMOOTH = 1.0  # pixels; a region that is absent from both ground truth and prediction adds no loss


def build_loss(kind: str, *, classes: int, reduction: str) -> keras.losses.Loss:
    """A new loss of scores (windows, rows, columns, classes), given class numbers and the weight of every pixel.

    The kind is "cross_entropy" or "cross_entropy_dice". There are 5 classes, or 4 if non-enhancing tumour is merged with
    necrosis. The reduction of the cross-entropy over pixels is "mean_with_sample_weight" or "sum".

    Raises:
        UserError: A Dice loss with "sum": each device would compute the Dice of its own windows only.
    """
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    if kind == "cross_entropy":
        return entropy
    if reduction == "sum":
        raise UserError(
            "train.loss: cross_entropy_dice needs the whole batch on one device under TensorFlow; set train.devices to one, "
            "or KERAS_BACKEND to jax"
        )
    return CrossEntropyDice(entropy, classes=classes)


class CrossEntropyDice(keras.losses.Loss):
    """Weighted mean of the cross-entropy, plus 1 minus the mean soft Dice of the regions over the whole batch.

    The probability of a region is the sum of its classes' probabilities. All pixels with a weight above 0 count equally in the
    Dice, because the weights balance classes, which a Dice does anyway.
    """

    def __init__(self, entropy: keras.losses.Loss, *, classes: int) -> None:
        super().__init__(name="cross_entropy_dice")
        self._entropy = entropy
        labels = [label for label in LABELS if classes == len(LABELS) or label != NON_ENHANCING]
        inside = [[label in region for region in REGIONS.values()] for label in labels]
        self._members = np.array(inside, dtype=np.float32)  # (classes, regions)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of a batch: class numbers (windows, rows, columns, 1), scores (..., classes), pixel weights."""
        scores = ops.cast(y_pred, "float32")
        numbers = ops.cast(ops.squeeze(y_true, axis=-1), "int32")
        true = ops.take(ops.convert_to_tensor(self._members), numbers, axis=0)
        found = ops.matmul(ops.softmax(scores), self._members)
        counts = ops.ones_like(true[..., :1])
        if sample_weight is not None:
            counts = ops.cast(ops.cast(sample_weight, "float32")[..., None] > 0, "float32")
        both, sizes = (ops.sum(counts * part, axis=(0, 1, 2)) for part in (true * found, true + found))
        dice = (2 * both + SMOOTH) / (sizes + SMOOTH)
        return self._entropy(y_true, y_pred, sample_weight) + 1 - ops.mean(dice)
