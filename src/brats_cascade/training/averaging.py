"""A moving average of the weights, which is validated and kept instead of the weights of the last step."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np

from brats_cascade.training.checkpoint import assign_values, values_of

EVERY = 10  # steps from one update to the next: on a GPU, fetching all values takes longer than a step


class Average:
    """An exponential moving average of all floating-point variables of a network.

    Batch normalisation's moving statistics are averaged as well: those of the last steps belong to the weights of the last
    steps, not to averaged ones, which Keras's own averaging (`use_ema` of an optimiser) would combine them with. The average
    starts with the first step's values and has a shorter memory at first, so that it does not hold on to the random start. One
    step leaves `decay` of it, and EVERY steps leave its power; 0 is for no averaging.

    Attributes:
        values: The averages, one array per variable; empty before the first step or without averaging.
    """

    def __init__(self, network: keras.Model, *, decay: float) -> None:
        self._decay = decay
        self._variables = [one for one in network.variables if keras.backend.is_float_dtype(one.dtype)]
        self.values: list[np.ndarray] = []

    def update(self, step: int) -> None:
        """Takes the network's values after every tenth step (counted from 0 in every phase) into the average."""
        if not self._decay or step % EVERY:
            return
        found = values_of(self._variables)
        if not step:
            self.values = found
            return
        decay = min(self._decay, (1 + step) / (10 + step)) ** EVERY
        for average, value in zip(self.values, found, strict=True):
            average += np.float32(1 - decay) * (value - average)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside the block the network has the averages, if there are any; afterwards its own values."""
        variables = self._variables if self.values else []
        own = values_of(variables)
        assign_values(variables, self.values)
        try:
            yield
        finally:
            assign_values(variables, own)
