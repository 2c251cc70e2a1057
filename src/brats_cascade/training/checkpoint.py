"""Checkpoints: everything a killed training needs to go on, in one file that is whole or not there."""

import json
import logging
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.shared import written_whole

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        state: Plain values: position, history, the settings' fingerprint.
        groups: Name -> arrays in the order they were given, such as "last" (weights and optimiser) and "best".
    """

    state: dict[str, Any]
    groups: dict[str, list[np.ndarray]]


def save_checkpoint(path: Path, *, groups: Mapping[str, Sequence[np.ndarray]], state: Mapping[str, Any]) -> None:
    """Writes a checkpoint atomically: after a kill or on a full disk the earlier file is still there, whole.

    Args:
        path: The file (.npz); its folder is made.
        groups: Name -> arrays.
        state: Plain values.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    arrays = {f"{name}/{index}": array for name, group in groups.items() for index, array in enumerate(group)}
    with written_whole(path) as draft, draft.open("wb") as file:
        np.savez(file, state=np.array(json.dumps(state)), **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())


def try_save_checkpoint(path: Path, *, groups: Mapping[str, Sequence[np.ndarray]], state: Mapping[str, Any]) -> bool:
    """As `save_checkpoint`, but a full disk costs one line and not the training; says whether it was written."""
    try:
        save_checkpoint(path, groups=groups, state=state)
    except OSError as error:
        log.warning(
            "%s: checkpoint not written (%s); training goes on and tries again, but a kill now would go back to the "
            "last one: free some space", path, error.strerror or error,
        )  # fmt: skip
        return False
    return True


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
            return Checkpoint(state, groups)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        log.warning("%s: damaged checkpoint (%s: %s); the training starts anew", path, type(error).__name__, error)
        return None


def values_of(variables: Sequence[Any]) -> list[np.ndarray]:
    """Copies of the values of Keras variables."""
    import keras

    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]


def assign_values(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    """Puts values back into the same variables in the same order.

    Raises:
        ValueError: Their number differs.
    """
    if len(variables) != len(values):
        raise ValueError(f"expected {len(variables)} variables, received {len(values)}")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
