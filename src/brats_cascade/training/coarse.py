"""The training data of the coarse cascade's CNN 1 (cases and patch sets on the 2 mm grid), and the geometry of CNN 2."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from brats_cascade.data.grid import Cell
from brats_cascade.errors import UserError
from brats_cascade.models.cascade import Geometry
from brats_cascade.models.coarse import coarse_geometry
from brats_cascade.params.train import TrainParams
from brats_cascade.training.batches import TrainingCase, TrainingData


def on_coarse_grid(data: TrainingData) -> TrainingData:
    """The same cases on their 2 mm grids: slabs as images, the label at the centre of each cell, and patch centres as cells."""
    steps, axes, sets = {case.name: Cell.of(case.spacing) for case in data.train}, ["slice", "row", "column"], {}
    for name, table in data.patch_sets.items():
        cells = table[axes].to_numpy() // np.array([steps[case] for case in table["case"]])
        sets[name] = table.assign(**dict(zip(axes, cells.T, strict=True)))
    train, validation = ([case.on_coarse_grid for case in cases] for cases in (data.train, data.validation))
    return replace(data, train=train, validation=validation, patch_sets=sets)


def cnn1_tiles(settings: TrainParams) -> TrainParams:
    """The same settings with CNN 1's tile size: half as many cells as CNN 2 has pixels."""
    return settings.model_copy(update={"tile": max(8, settings.tile // 2)})


def cnn2_geometry(cases: Sequence[TrainingCase]) -> Geometry:
    """CNN 2's field of view, which must be the same for all cases.

    Raises:
        UserError: The cases have different grids.
    """
    found = {Cell.of(case.spacing).pixels: case for case in cases}
    if len(found) > 1:
        (_, first), (_, other) = sorted(found.items())[:2]
        sizes = [" x ".join(f"{size:.3g}" for size in case.spacing[1:]) for case in (first, other)]
        raise UserError(
            f"coarse_cascade: expected about the same pixel size in all cases, found {sizes[0]} mm ({first.name}) and "
            f"{sizes[1]} mm ({other.name}); resample some, leave them out, or train another architecture"
        )
    return coarse_geometry(next(iter(found)))
