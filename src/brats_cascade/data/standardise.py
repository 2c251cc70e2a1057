"""Clipping, N4 and z-score of a case's four modalities (paper section 4), from files or from memory."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from brats_cascade import MODALITIES
from brats_cascade.data.facts import STATISTICS
from brats_cascade.data.preprocess import z_score
from brats_cascade.errors import UserError
from brats_cascade.params import Recipe

WIDEST = 2**16  # integers with a larger range are sorted instead of counted
BIASED = ("t1", "t1c")  # the modalities that N4 corrects
SHRINK = 4  # the field is smooth, so it is fitted on every fourth voxel along each axis and applied to all voxels
ITERATIONS = [50, 50, 50, 50]  # iterations at each of the four resolutions, SimpleITK's default


def correct_bias(volume: np.ndarray, *, brain: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Divides a modality (slices, rows, columns) by the smooth bias field that N4 finds in the brain; float32, 0 outside it.

    Raises:
        ValueError: N4 fails, as for a single slice.
    """
    import SimpleITK

    def as_image(array: np.ndarray) -> SimpleITK.Image:
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing([float(size) for size in reversed(spacing)])
        return image

    image, mask = as_image(volume.astype(np.float32)), as_image(brain.astype(np.uint8))
    # N4 fits cubic splines, which need several voxels along every axis.
    factors = [max(1, min(SHRINK, size // 4)) for size in reversed(volume.shape)]
    corrector = SimpleITK.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations(ITERATIONS)
    corrector.SetNumberOfThreads(1)  # cases run in parallel, and the result must not depend on the number of threads
    try:
        corrector.Execute(SimpleITK.Shrink(image, factors), SimpleITK.Shrink(mask, factors))
        field = SimpleITK.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image))
    except RuntimeError:
        raise ValueError(f"N4 fails for a brain of {' x '.join(map(str, brain.shape))} voxels") from None
    corrected = np.where(brain, volume / np.exp(field), 0)
    return corrected.astype(np.float32)


@dataclass(frozen=True)
class Intensities:
    """Statistics of a modality's intensities: the population's standard deviation, and the requested quantiles."""

    low: float
    high: float
    mean: float
    deviation: float
    quantiles: tuple[float, ...]

    def facts(self, modality: str) -> dict[str, float]:
        """The modality's columns of the per-case table; the first three quantiles must be those at 1, 50 and 99 %."""
        numbers = (self.low, *self.quantiles[:3], self.high, self.mean, self.deviation)
        return {f"{modality}_{name}": value for name, value in zip(STATISTICS, numbers, strict=True)}


def describe(values: np.ndarray, *, shares: Sequence[float]) -> Intensities:
    """Measures intensities (n,) of any numeric type.

    The quantiles at `shares`, each between 0 and 1, equal those of numpy.quantile for float32 values.
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
        # The same index, neighbours and types as in NumPy's linear interpolation.
        place = share * (values.size - 1)
        first = int(np.floor(place))
        ranks = np.array([first, min(first + 1, values.size - 1)])
        pair = (np.searchsorted(below, ranks, side="right") + low).astype(np.float32)
        quantiles.append(float(np.quantile(pair, np.array([place - first]))[0]))
    return Intensities(float(low), float(high), mean, deviation, tuple(quantiles))


def standardise_all(
    cropped: Mapping[str, np.ndarray],
    *,
    sources: Mapping[str, str],
    brain: np.ndarray,
    voxels: int,
    spacing: tuple[float, float, float],
    recipe: Recipe,
    facts: dict[str, Any],
) -> tuple[np.ndarray, str]:
    """Preprocesses the modalities of the brain's box, and measures them.

    Args:
        cropped: Modality -> raw intensities of the box (slices, rows, columns).
        sources: Modality -> its origin, for error messages.
        brain: bool (slices, rows, columns) of the box.
        voxels: Number of voxels of the whole volume.
        spacing: mm along slices, rows and columns.
        recipe: Clipping, N4 and z-score; the slicing axis is not used here.
        facts: Receives the statistics.

    Returns:
        float32 (slices, rows, columns, modalities), exactly 0 outside the brain; and a hash of the raw voxels.

    Raises:
        UserError: A modality is constant.
    """
    digest = hashlib.sha256(repr(brain.shape).encode())
    places = np.flatnonzero(brain)
    image = np.zeros((brain.size, len(MODALITIES)), dtype=np.float32)
    for channel, modality in enumerate(MODALITIES):
        raw = np.ascontiguousarray(cropped[modality])
        digest.update(raw.astype(np.float32, copy=False).data)
        values = raw.ravel()[places]
        found = describe(values, shares=(0.01, 0.5, 0.99, recipe.clip, 1 - recipe.clip))
        facts.update(found.facts(modality))
        clipped = np.clip(values.astype(np.float32), *np.array(found.quantiles[3:], dtype=np.float32))
        zeros = voxels - places.size if recipe.zscore == "volume" else 0
        try:
            image[places, channel] = z_score(clipped, zeros=zeros)  # checked before N4, which would make it vary
            if recipe.n4 and modality in BIASED:
                volume = np.zeros(brain.size, dtype=np.float32)
                volume[places] = clipped
                corrected = correct_bias(volume.reshape(brain.shape), brain=brain, spacing=spacing)
                image[places, channel] = z_score(corrected.ravel()[places], zeros=zeros)
        except ValueError as error:
            raise UserError(
                f"{sources[modality]}: {modality}: {error}; expected an image of the brain; export it again"
            ) from None
    return image.reshape(*brain.shape, len(MODALITIES)), digest.hexdigest()
