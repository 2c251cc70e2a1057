"""Where a training stands, and checkpoints: all that a killed one needs to go on, in one file that is whole or not there."""

import json
import logging
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from brats_cascade.shared import written_whole

log = logging.getLogger(__name__)
Groups = Mapping[str, Sequence[np.ndarray]]


@dataclass
class Progress:
    """Where a training stands; plain values only.

    Attributes:
        phase: Number of the phase that is being trained.
        step: Steps done in it; the next batch is this one.
        before: Steps done in the phases before.
        pixels: Labelled pixels seen.
        seconds: Time spent, also before a kill.
        best: Best validation score of this phase so far, -1 before the first.
        stale: Validation rounds since then.
        ended: This phase was ended early.
        loss_sum: Sum of the losses since the last validation round.
        losses: Their number.
        history: One row per validation round.
    """

    phase: int = 1
    step: int = 0
    before: int = 0
    pixels: int = 0
    seconds: float = 0.0
    best: float = -1.0
    stale: int = 0
    ended: bool = False
    loss_sum: float = 0.0
    losses: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def begin(self, phase: int) -> None:
        """Goes on to the next phase."""
        self.before += self.step
        self.phase, self.step, self.best, self.stale, self.ended = phase, 0, -1.0, 0, False
        self.loss_sum, self.losses = 0.0, 0


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: where the training stood, what stands for everything that decides its outcome, and arrays.

    These are in the order that they were given in: "last" (weights and optimiser), "best", "average".
    """

    progress: Progress
    fingerprint: str
    groups: Groups


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint (.npz): after a kill or on a full disk the earlier file is still there, whole.

    A full disk costs one line and not the training.
    """
    groups, state = checkpoint.groups, {**asdict(checkpoint.progress), "fingerprint": checkpoint.fingerprint}
    arrays = {f"{name}/{index}": array for name, group in groups.items() for index, array in enumerate(group)}
    try:
        with written_whole(path) as draft, draft.open("wb") as file:
            np.savez(file, state=np.array(json.dumps(state)), **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        log.warning(
            "%s: checkpoint not written (%s); training goes on and tries again, but a kill now would go back to the "
            "last one: free some space", path, error.strerror or error,
        )  # fmt: skip


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Reads a checkpoint whole; None where there is none, or (with a line in the log) where it is damaged."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file) as stored:
            state = json.loads(str(stored["state"]))
            groups: dict[str, list[np.ndarray]] = {}
            for key in stored.files:  # in the order they were written
                name, _, index = key.partition("/")
                if index:
                    groups.setdefault(name, []).append(stored[key])
        return Checkpoint(fingerprint=state.pop("fingerprint"), progress=Progress(**state), groups=groups)
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        log.warning("%s: damaged checkpoint (%s: %s); the training starts anew", path, type(error).__name__, error)
        return None


def values_of(variables: Sequence[Any]) -> list[np.ndarray]:
    """Copies of the values of Keras variables."""
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]


def assign_values(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    """Puts values back into the same variables in the same order; their numbers must agree."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
