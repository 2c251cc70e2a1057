"""Statistics of one modality's voxels; whole numbers are counted, which takes a tenth of the time of sorting."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDEST = 2**16  # whole numbers that span more are sorted instead


@dataclass(frozen=True)
class Intensities:
    """What a modality's intensities look like; the deviation is that of the population, the quantiles are those asked for."""

    low: float
    high: float
    mean: float
    deviation: float
    quantiles: tuple[float, ...]


def describe(values: np.ndarray, *, shares: Sequence[float]) -> Intensities:
    """Measures (n,) intensities of any number type that a scan has.

    The quantiles at `shares`, each in 0..1, are exactly what numpy.quantile gives for float32 values.
    """
    low, high = values.min(), values.max()
    if values.dtype.kind in "iu" and int(high) - int(low) < WIDEST:
        return _by_counting(values, low=int(low), high=int(high), shares=shares)
    mean, deviation = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    quantiles = np.quantile(values.astype(np.float32), np.array(shares, dtype=np.float64))
    return Intensities(float(low), float(high), float(mean), float(deviation), tuple(map(float, quantiles)))


def _by_counting(values: np.ndarray, *, low: int, high: int, shares: Sequence[float]) -> Intensities:
    counts = np.bincount(values.astype(np.intp) - low, minlength=high - low + 1)
    numbers = np.arange(low, high + 1, dtype=np.float64)
    mean = float(counts @ numbers) / values.size
    deviation = float(np.sqrt(counts @ np.square(numbers - mean) / values.size))
    below = np.cumsum(counts)
    quantiles = []
    for share in shares:
        # The same virtual index, the same two neighbours and the same types as NumPy's linear interpolation.
        place = share * (values.size - 1)
        first = int(np.floor(place))
        ranks = np.array([first, min(first + 1, values.size - 1)])
        pair = (np.searchsorted(below, ranks, side="right") + low).astype(np.float32)
        quantiles.append(float(np.quantile(pair, np.array([place - first]))[0]))
    return Intensities(float(low), float(high), mean, deviation, tuple(quantiles))
