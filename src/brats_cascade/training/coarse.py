"""What CNN 1 of the coarse cascade is trained on: cases and patch sets on the 4 mm grid; and how CNN 2's windows lie."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from brats_cascade.data.grid import Grid
from brats_cascade.data.windows import round_up
from brats_cascade.errors import UserError
from brats_cascade.models.cascade import Geometry
from brats_cascade.models.coarse import coarse_geometry
from brats_cascade.params.train import TrainParams
from brats_cascade.training.batches import TrainingCase, TrainingData


def on_coarse_grid(data: TrainingData) -> TrainingData:
    """The same cases on their 4 mm grids: slabs as images, of each cell the label in its middle, centres as their cells."""
    steps, axes, sets = {case.name: Grid.of(case.spacing).coarse for case in data.train}, ["slice", "row", "column"], {}
    for name, table in data.patch_sets.items():
        cells = table[axes].to_numpy() // np.array([steps[case] for case in table["case"]])
        sets[name] = table.assign(**dict(zip(axes, cells.T, strict=True)))
    train, validation = ([case.on_coarse_grid for case in cases] for cases in (data.train, data.validation))
    return replace(data, train=train, validation=validation, patch_sets=sets)


def cnn1_tiles(settings: TrainParams) -> TrainParams:
    """The same settings with CNN 1's tiles: half as many cells of 4 mm as CNN 2 has pixels, so that they show more."""
    return settings.model_copy(update={"tile": max(8, round_up(settings.tile // 2, multiple=2))})


def cnn2_geometry(cases: Sequence[TrainingCase]) -> Geometry:
    """Where CNN 2 looks, on the 2 mm grid that all cases have.

    Raises:
        UserError: They have different ones.
    """
    found = {Grid.of(case.spacing).fine: case for case in cases}
    if len(found) > 1:
        (_, first), (_, other) = sorted(found.items())[:2]
        sizes = [" x ".join(f"{size:.3g}" for size in case.spacing[1:]) for case in (first, other)]
        raise UserError(
            f"coarse_cascade: expected pixels of about one size in all cases, received {sizes[0]} mm ({first.name}) and "
            f"{sizes[1]} mm ({other.name}); resample some, leave them out, or train another architecture"
        )
    return coarse_geometry(next(iter(found)))
