"""Training cases along all three axes, for networks that are used along each of them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from brats_cascade.data.axes import ORDERS, along
from brats_cascade.data.grid import SLABS, slabs_of
from brats_cascade.training.batches import TrainingCase, TrainingData

PLACE = ["slice", "row", "column"]


def along_all_axes(data: TrainingData) -> TrainingData:
    """The same data with every training case and every patch centre three times, with slices along each axis.

    Cases with slices along the stored rows and columns are named "CASE along rows" and "CASE along columns". The validation
    cases stay as they are.
    """
    train = [_view(case, axis=axis) for case in data.train for axis in ORDERS]
    sets = {name: pd.concat([_centres(table, axis=axis) for axis in ORDERS]) for name, table in data.patch_sets.items()}
    return replace(data, train=train, patch_sets={name: table.reset_index(drop=True) for name, table in sets.items()})


def _view(case: TrainingCase, *, axis: str) -> TrainingCase:
    """A case with slices along an axis; voxels are shared where they can be."""
    order = ORDERS[axis]
    if axis == "slices":
        return case
    coarse = case.image.ndim == 5
    image = along(case.image[..., SLABS, :] if coarse else case.image, order=order)
    return replace(
        case,
        name=_named(case.name, axis=axis),
        image=slabs_of(image) if coarse else image,
        brain=along(np.asarray(case.brain), order=order),
        labels=along(np.asarray(case.labels), order=order),
        mirrors=case.mirrors and order[-1] == 2,
        spacing=_in_order(case.spacing, order=order),
    )


def _centres(table: pd.DataFrame, *, axis: str) -> pd.DataFrame:
    """A patch set's centres in the cases with slices along an axis."""
    order = ORDERS[axis]
    places = dict(zip(PLACE, table[PLACE].to_numpy()[:, list(order)].T, strict=True))
    return table.assign(case=[_named(name, axis=axis) for name in table["case"]], **places)


def _named(name: str, *, axis: str) -> str:
    return name if axis == "slices" else f"{name} along {axis}"


def _in_order(spacing: Sequence[float], *, order: Sequence[int]) -> tuple[float, float, float]:
    first, second, third = (spacing[place] for place in order)
    return first, second, third
