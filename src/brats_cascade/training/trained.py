"""What a training leaves."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import pandas as pd

from brats_cascade.models.two_path import Style
from brats_cascade.training.progress import Progress


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        network: From the image alone to probabilities.
        progress: History, labelled pixels seen, seconds.
        weights: Table of class weights: case, slice, weight_LABEL.
        style: Of the network, its CNN 2 in a cascade.
        cnn1_style: Of a cascade's CNN 1, or None.
        cnn1: History of a CNN 1 that was trained within, or None.
        inner: Of the CNN 1s that made maps of training patients unknown to them.
        computed: Seconds that this process spent in the phases and on CNN 1's maps, those of CNN 1s within included; less
            than `seconds` where an earlier process had done a part.
    """

    network: keras.Model
    progress: Progress
    weights: pd.DataFrame
    style: Style
    cnn1_style: Style | None = None
    cnn1: Progress | None = None
    inner: Sequence[Progress] = ()
    computed: float = 0.0

    @property
    def seconds(self) -> float:
        """Of the training loops, those of CNN 1s within included."""
        return sum(part.seconds for part in self._parts)

    @property
    def pixels(self) -> int:
        """Labelled pixels seen, likewise."""
        return sum(part.pixels for part in self._parts)

    @property
    def _parts(self) -> list[Progress]:
        return [self.progress, *([] if self.cnn1 is None else [self.cnn1]), *self.inner]
