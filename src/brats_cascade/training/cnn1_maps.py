"""Computes the class maps of a frozen CNN 1 once per slice, and keeps them on disk while CNN 2 trains."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from brats_cascade.errors import UserError
from brats_cascade.inference.coarse import coarse_maps
from brats_cascade.inference.dense import predict_around
from brats_cascade.models.cascade import CNN2, GEOMETRY, cnn1_map_model
from brats_cascade.models.coarse import COARSE_CNN1
from brats_cascade.models.fold import fold_cnn1
from brats_cascade.shared import in_use, written_whole
from brats_cascade.training.batches import TrainingCase, TrainingData
from brats_cascade.training.fingerprint import Cnn1, Experiment, network_digest

LIMIT = (
    20 * 2**30
)  # bytes; the maps of one case of 155 slices take up to 115 MB, those of a coarse cascade about 0.4 MB
LEVELS = 255  # a coarse cascade's probabilities are stored in 8 bits, and compressed


@contextlib.contextmanager
def with_maps(cascade: Experiment, *, cnn2: keras.Model, folder: Path) -> Iterator[TrainingData]:
    """A cascade's data with CNN 1's maps for every case, computed with the folded CNN 1 if possible.

    The final CNN 1 makes the maps of the validation cases, and of the training cases that no inner CNN 1 covers. The maps stay
    on disk in `folder` during the block, as in `stored_maps`.
    """
    data, cnn1, precision = cascade.data, cascade.cnn1, cascade.settings.precision
    assert cnn1 is not None
    with contextlib.ExitStack() as held:

        def mapped(cases: Sequence[TrainingCase], *, maker: Cnn1) -> list[TrainingCase]:
            seen = cnn1_map_model(maker.network, cnn2=cnn2)
            if seen is maker.network:
                seen = fold_cnn1(seen, style=replace(maker.style, precision=precision))
            maps = held.enter_context(stored_maps(seen, cases=cases, folder=folder, axes=maker.style.axes))
            return [replace(case, maps=maps[case.name]) for case in cases]

        makers = cascade.inner or [([case.name for case in data.train], cnn1)]
        found = {
            case.name: case
            for names, maker in makers
            for case in mapped([case for case in data.train if case.name in names], maker=maker)
        }
        train, validation = [found[case.name] for case in data.train], mapped(data.validation, maker=cnn1)
        yield replace(data, train=train, validation=validation)


@contextlib.contextmanager
def stored_maps(
    network: keras.Model, *, cases: Sequence[TrainingCase], folder: Path, axes: str = "one", limit: int = LIMIT
) -> Iterator[dict[str, np.ndarray]]:
    """Computes and stores CNN 1's maps of whole cases; existing maps are reused.

    The network is a trained CNN 1 up to its probabilities or its scores (`cnn1_map_model`). Its files, one per case, are in a
    subfolder of their own. After the block they remain for other trainings until the maps of all networks exceed the limit in
    bytes; during the block nobody deletes them. `axes` is that of CNN 1's `Style`, and has an effect in a coarse cascade.

    Yields:
        Case -> memory-mapped float16 (slices, rows + 32, columns + 32, classes), with a margin of 16 pixels around the
        slice, which is what CNN 2 needs. For a coarse cascade in memory, float16 (slabs, rows, columns, classes), for
        cells, in steps of 1 / 255.

    Raises:
        UserError: A file cannot be written.
    """
    own = folder / (network_digest(network)[:16] + ("-all-axes" if axes == "all" else ""))
    with in_use(own, limit=limit):
        own.mkdir(parents=True, exist_ok=True)
        yield {
            case.name: _maps_of(case, network=network, folder=own, axes=axes)
            for case in tqdm(cases, desc="CNN 1's maps")
        }


def _maps_of(case: TrainingCase, *, network: keras.Model, folder: Path, axes: str) -> np.ndarray:
    """The maps of one case; computed if the file does not exist."""
    coarse = network.name == COARSE_CNN1
    path = folder / f"{case.name}-{case.digest[:16]}.{'npz' if coarse else 'npy'}"
    if not path.is_file():
        image, brain = case.image, np.asarray(case.brain)
        try:
            with written_whole(path) as draft:  # another process may compute the same case
                if coarse:
                    maps = coarse_maps(network, image=image, brain=brain, spacing=case.spacing, axes=axes)
                    np.savez_compressed(draft, maps=np.rint(maps * LEVELS).astype(np.uint8))
                else:
                    geometry = GEOMETRY["two_path"]
                    maps = predict_around(network, image=image, brain=brain, geometry=geometry, margin=CNN2.before)
                    np.save(draft, maps.astype(np.float16))
        except OSError as error:
            raise UserError(
                f"{path}: CNN 1's maps cannot be written ({error.strerror or error}); free some space"
            ) from None
    if not coarse:
        return np.load(path, mmap_mode="r")
    with np.load(path) as stored:
        return (stored["maps"] / np.float32(LEVELS)).astype(np.float16)
