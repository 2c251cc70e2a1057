"""The class maps of a frozen CNN 1, computed once per slice and kept on disk while CNN 2 trains."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from brats_cascade.errors import UserError
from brats_cascade.inference.dense import predict_around
from brats_cascade.models.cascade import CNN2, GEOMETRY
from brats_cascade.training.batches import TrainingCase

KEPT = 2  # networks whose maps stay on disk


def compute_maps(
    network: keras.Model, *, cases: Sequence[TrainingCase], folder: Path, data_key: str = ""
) -> dict[str, np.ndarray]:
    """Computes and stores CNN 1's maps for whole cases; what is there already is kept.

    Args:
        network: A trained TwoPathCNN, up to its probabilities or its scores (`first_maps`).
        cases: The cases.
        folder: Where the files go, one per case, in a folder of their own for this network and data.
        data_key: Stands for the cases' voxels, such as a hash of the volume store: other data, other files.

    Returns:
        Case -> memory-mapped float16 (slices, rows + 32, columns + 32, classes): a margin of 16 pixels around the slice, as
        much as any CNN 2 needs around a pixel of it.

    Raises:
        UserError: A file cannot be written.
    """
    own = folder / network_digest(network, salt=data_key)[:16]
    own.mkdir(parents=True, exist_ok=True)
    own.touch()
    _forget_others(folder)
    folder = own
    paths = {case.name: folder / f"{case.name}.npy" for case in cases}
    for case in tqdm(cases, desc="CNN 1's maps", unit="case"):
        path = paths[case.name]
        if path.is_file():
            continue
        maps = predict_around(
            network,
            image=case.image,
            brain=np.asarray(case.brain),
            geometry=GEOMETRY["two_path"],
            margin=CNN2.before,
        )
        unfinished = path.with_name(f".{os.getpid()}_{path.name}")
        try:
            np.save(unfinished, maps.astype(np.float16))
            unfinished.replace(path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise UserError(
                f"{path}: CNN 1's maps cannot be written ({error.strerror or error}); free some space"
            ) from None
    return {name: np.load(path, mmap_mode="r") for name, path in paths.items()}


def _forget_others(folder: Path) -> None:
    """Keeps the maps of the networks used last, so that several cascades share one CNN 1's and the disk does not fill."""
    used = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for path in used[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def network_digest(network: keras.Model, *, salt: str = "") -> str:
    """A hash of a network's weights, its name, the precision it computes in, and a salt."""
    digest = hashlib.sha256(f"{network.name} {network.get_layer('output').compute_dtype} {salt}".encode())
    for value in network.get_weights():
        digest.update(value.tobytes())
    return digest.hexdigest()
