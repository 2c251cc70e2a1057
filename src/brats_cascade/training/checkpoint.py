"""The state of a training, and checkpoints: everything needed to resume it, in one file that is written atomically."""

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
    """The state of a training, in plain values.

    Attributes:
        phase: Number of the current phase.
        step: Steps done in this phase, which is also the number of the next batch.
        before: Steps done in earlier phases.
        pixels: Labelled pixels seen.
        seconds: Time spent, including before interruptions.
        cpu_seconds: Processor time spent, all cores of this process together, likewise.
        best: Best validation score of this phase so far, -1 before the first.
        stale: Validation rounds since the best one.
        ended: Whether this phase was stopped early.
        loss_sum: Sum of the losses since the last validation round.
        losses: Number of these losses.
        history: One row per validation round.
    """

    phase: int = 1
    step: int = 0
    before: int = 0
    pixels: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    best: float = -1.0
    stale: int = 0
    ended: bool = False
    loss_sum: float = 0.0
    losses: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def begin(self, phase: int) -> None:
        """Starts the next phase."""
        self.before += self.step
        self.phase, self.step, self.best, self.stale, self.ended = phase, 0, -1.0, 0, False
        self.loss_sum, self.losses = 0.0, 0


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint: the state, a fingerprint of everything that decides the outcome, and arrays.

    The arrays are "last" (weights and optimiser), "best" and "average", in their original order.
    """

    progress: Progress
    fingerprint: str
    groups: Groups


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint (.npz) atomically: after a kill or on a full disk the previous one is intact.

    A full disk causes a warning and does not stop the training.
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
            "%s: checkpoint not written (%s); training continues, but would resume from the previous checkpoint: free some "
            "space", path, error.strerror or error,
        )  # fmt: skip


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Reads a checkpoint; None if there is none, or if it is damaged (which is logged)."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file) as stored:
            state = json.loads(str(stored["state"]))
            groups: dict[str, list[np.ndarray]] = {}
            for key in stored.files:  # in the order of writing
                name, _, index = key.partition("/")
                if index:
                    groups.setdefault(name, []).append(stored[key])
        return Checkpoint(fingerprint=state.pop("fingerprint"), progress=Progress(**state), groups=groups)
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        log.warning("%s: damaged checkpoint (%s: %s); starting a new training", path, type(error).__name__, error)
        return None


def values_of(variables: Sequence[Any]) -> list[np.ndarray]:
    """Copies of the values of Keras variables."""
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]


def assign_values(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    """Assigns values to variables in the same order; the numbers of both must agree."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
