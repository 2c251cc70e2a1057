"""The class maps of a frozen CNN 1, computed once per slice and kept on disk while CNN 2 trains."""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from brats_cascade.errors import UserError
from brats_cascade.inference.coarse import coarse_maps
from brats_cascade.inference.dense import predict_around
from brats_cascade.models.cascade import CNN2, GEOMETRY, Cnn1, cnn1_map_model
from brats_cascade.models.coarse import COARSE_CNN1
from brats_cascade.models.fold import fold_cnn1
from brats_cascade.shared import in_use, written_whole
from brats_cascade.training.batches import TrainingCase, TrainingData
from brats_cascade.training.fingerprint import network_digest

LIMIT = 20 * 2**30  # bytes; the maps of one case of 155 slices take up to 115 MB


@contextlib.contextmanager
def with_maps(
    data: TrainingData,
    *,
    cnn1: Cnn1,
    inner: Sequence[tuple[Collection[str], Cnn1]] = (),
    cnn2: keras.Model,
    precision: str,
    folder: Path,
) -> Iterator[TrainingData]:
    """The same data with CNN 1's maps of every case, computed by CNN 1 in its folded form where that is possible.

    Args:
        data: What a cascade is trained on.
        cnn1: Makes the maps of the validation cases, and of the training cases that no inner one makes.
        inner: Names of training cases, and the CNN 1 that makes their maps.
        cnn2: What gets the maps.
        precision: What they are computed in.
        folder: As in `stored_maps`.

    Yields:
        The data; the maps stay on disk as long as the block lasts.
    """
    with contextlib.ExitStack() as held:

        def mapped(cases: Sequence[TrainingCase], *, maker: Cnn1) -> list[TrainingCase]:
            seen = cnn1_map_model(maker.network, cnn2=cnn2)
            if seen is maker.network:
                seen = fold_cnn1(seen, style=replace(maker.style, precision=precision))
            maps = held.enter_context(stored_maps(seen, cases=cases, folder=folder))
            return [replace(case, maps=maps[case.name]) for case in cases]

        makers = inner or [([case.name for case in data.train], cnn1)]
        found = {
            case.name: case
            for names, maker in makers
            for case in mapped([case for case in data.train if case.name in names], maker=maker)
        }
        train, validation = [found[case.name] for case in data.train], mapped(data.validation, maker=cnn1)
        yield replace(data, train=train, validation=validation)


@contextlib.contextmanager
def stored_maps(
    network: keras.Model, *, cases: Sequence[TrainingCase], folder: Path, limit: int = LIMIT
) -> Iterator[dict[str, np.ndarray]]:
    """Computes and stores CNN 1's maps for whole cases; what is there already is kept.

    The files stay after the block for other trainings, until the folder exceeds its limit; within it nobody deletes them.

    Args:
        network: A trained TwoPathCNN, up to its probabilities or its scores (`cnn1_map_model`).
        cases: The cases.
        folder: Where the files go, one per case, in a folder of their own for this network.
        limit: Bytes that the maps of all networks may take together; those not in use go.

    Yields:
        Case -> memory-mapped float16 (slices, rows + 32, columns + 32, classes): a margin of 16 pixels around the slice, as
        much as any CNN 2 needs around a pixel of it. Of a coarse cascade's CNN 1 (slabs, rows, columns, classes), of cells.

    Raises:
        UserError: A file cannot be written.
    """
    own = folder / network_digest(network)[:16]
    with in_use(own, limit=limit):
        own.mkdir(parents=True, exist_ok=True)
        yield {case.name: _maps_of(case, network=network, folder=own) for case in tqdm(cases, desc="CNN 1's maps")}


def _maps_of(case: TrainingCase, *, network: keras.Model, folder: Path) -> np.ndarray:
    """One case's maps, memory-mapped; computed where the file is not there."""
    path = folder / f"{case.name}-{case.digest[:16]}.npy"
    if path.is_file():
        return np.load(path, mmap_mode="r")
    image, brain = case.image, np.asarray(case.brain)
    if network.name == COARSE_CNN1:
        maps = coarse_maps(network, image=image, brain=brain, spacing=case.spacing)
    else:
        maps = predict_around(network, image=image, brain=brain, geometry=GEOMETRY["two_path"], margin=CNN2.before)
    try:
        with written_whole(path) as draft:  # another process may be at the same case
            np.save(draft, maps.astype(np.float16))
    except OSError as error:
        raise UserError(
            f"{path}: CNN 1's maps cannot be written ({error.strerror or error}); free some space"
        ) from None
    return np.load(path, mmap_mode="r")
