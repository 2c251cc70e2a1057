"""N4 bias field correction of one modality, through SimpleITK (paper section 4: T1 and T1c only)."""

from collections.abc import Sequence

import numpy as np

SHRINK = 4  # the field is smooth: it is fitted on every fourth voxel of each axis, and applied to all
ITERATIONS = (50, 50, 50, 50)  # at each of the four resolutions, SimpleITK's default


def correct_bias(
    volume: np.ndarray,
    *,
    brain: np.ndarray,
    spacing: Sequence[float],
    shrink: int = SHRINK,
    iterations: Sequence[int] = ITERATIONS,
) -> np.ndarray:
    """Divides a modality by the smooth field that N4 finds in the brain.

    Args:
        volume: Intensities (slices, rows, columns).
        brain: bool volume; the field is fitted inside it.
        spacing: mm along slices, rows and columns.
        shrink: Voxels of each axis that become one for the fit; less where an axis is short.
        iterations: At most that many at each resolution.

    Returns:
        float32 volume, 0 outside the brain.
    """
    import SimpleITK

    def as_image(array: np.ndarray) -> SimpleITK.Image:
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing([float(size) for size in reversed(spacing)])
        return image

    image, mask = as_image(volume.astype(np.float32)), as_image(brain.astype(np.uint8))
    # N4 fits cubic splines: it needs some voxels along every axis.
    factors = [max(1, min(shrink, size // 4)) for size in reversed(volume.shape)]
    corrector = SimpleITK.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations([int(count) for count in iterations])
    corrector.SetNumberOfThreads(1)  # cases run side by side, and the result must not depend on the machine
    corrector.Execute(SimpleITK.Shrink(image, factors), SimpleITK.Shrink(mask, factors))
    field = SimpleITK.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image))
    corrected = np.where(brain, volume / np.exp(field), 0)
    return corrected.astype(np.float32)
