"""A moving average of the weights, which is validated and kept instead of the last step's weights."""

import contextlib
from collections.abc import Collection, Iterator

import keras
import numpy as np

from brats_cascade.training.checkpoint import assign_values, values_of

EVERY = 10  # steps between updates, because on a GPU fetching all values takes longer than a step


class Average:
    """An exponential moving average of all floating-point variables of a network.

    The moving statistics of batch normalisation are averaged as well, because the last steps' statistics do not fit averaged
    weights. Keras's own averaging (`use_ema` of an optimiser) does not average them. The average starts with the first step's
    values, and its memory is shorter at first, so that the random initialisation fades quickly. One step decays it by `decay`,
    an update by the power of the steps since the one before; 0 disables averaging.

    Attributes:
        values: The averages, one array per variable; empty before the first step or without averaging.
    """

    def __init__(self, network: keras.Model, *, decay: float, also: Collection[int] = ()) -> None:
        """`also` are numbers of steps after which the average is used, so that it includes these steps."""
        self._decay, self._also = decay, also
        self._variables = [one for one in network.variables if keras.backend.is_float_dtype(one.dtype)]
        self.values: list[np.ndarray] = []

    def update(self, done: int) -> None:
        """Adds the network's values to the average when they are due; `done` is the number of steps done in this phase."""
        if not self._decay or not self._due(done):
            return
        found = values_of(self._variables)
        if done == 1:
            self.values = found
            return
        passed = done - next(before for before in range(done - 1, 0, -1) if self._due(before))
        decay = min(self._decay, done / (9 + done)) ** passed
        for average, value in zip(self.values, found, strict=True):
            average += np.float32(1 - decay) * (value - average)

    def _due(self, done: int) -> bool:
        return done == 1 or done % EVERY == 0 or done in self._also

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside the block the network has the averaged values, if there are any; afterwards its own."""
        variables = self._variables if self.values else []
        own = values_of(variables)
        assign_values(variables, self.values)
        try:
            yield
        finally:
            assign_values(variables, own)
