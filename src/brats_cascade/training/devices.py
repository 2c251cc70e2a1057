"""What computes: one device, several devices of one host, or several hosts, data-parallel (docs/distributed.md)."""

import contextlib
from collections.abc import Callable
from typing import Any

from brats_cascade.errors import UserError
from brats_cascade.training.batches import Batch


class Devices:
    """One device.

    Attributes:
        reduction: Of the loss over pixels.
        writes: This process writes checkpoints and results; only one of several workers does.
    """

    reduction = "mean_with_sample_weight"

    def __init__(self, *, writes: bool = True) -> None:
        self.writes = writes

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Where networks and optimisers are made."""
        return contextlib.nullcontext()

    def stepper(self, trainer: Any) -> Callable[[Batch], float]:
        """A function that makes one step of descent and gives the loss of its batch."""

        def step(batch: Batch) -> float:
            inputs = batch.inputs if len(batch.inputs) > 1 else batch.inputs[0]
            targets, weights = batch.targets[..., None], batch.weights
            return float(trainer.train_on_batch(inputs, targets, sample_weight=weights, return_dict=True)["loss"])

        return step


ONE_DEVICE = Devices()


class Sharded(Devices):
    """All devices of JAX under Keras's own distribution, which reduces losses and gradients over the whole batch.

    Each process makes the whole batch and gives its own part of the windows.

    Args:
        devices: Their number, over all processes.
        processes: Their number.
        number: Of this process, from 0; the first one writes.
    """

    def __init__(self, *, devices: int, processes: int = 1, number: int = 0) -> None:
        super().__init__(writes=number == 0)
        self._devices, self._processes, self._number = devices, processes, number

    def stepper(self, trainer: Any) -> Callable[[Batch], float]:
        """A function that makes one step of descent on the windows of all processes, and gives the whole batch's loss."""
        step_own = super().stepper(trainer)

        def step(batch: Batch) -> float:
            check_share(batch, devices=self._devices)
            own = slice(*(len(batch.targets) * edge // self._processes for edge in (self._number, self._number + 1)))
            return step_own(Batch([part[own] for part in batch.inputs], batch.targets[own], batch.weights[own]))

        return step


def check_share(batch: Batch, *, devices: int) -> None:
    """Refuses a batch that does not share out evenly.

    Raises:
        UserError: Its windows are no multiple of the devices.
    """
    if len(batch.targets) % devices:
        raise UserError(
            f"train.batch: expected a multiple of the {devices} devices, received a batch of {len(batch.targets)}; "
            "change train.batch, or the devices in use (docs/distributed.md)"
        )
