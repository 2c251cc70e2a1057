"""What looks like tumour on one modality and is not: white matter lesions, vessels, dura, choroid plexus, cortex."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from brats_cascade.data.phantom.anatomy import Anatomy
from brats_cascade.data.phantom.fields import distance_mm, smooth_noise, soft_step


@dataclass(frozen=True)
class Confounders:
    """Look-alikes of tumour, float32 (x, y, z), 0 to 1 unless said otherwise.

    Attributes:
        lesions: White matter hyperintensities and caps along the ventricles: bright on FLAIR and T2.
        vessels: Vessels, dura and choroid plexus: bright on T1c.
        bright_cortex: How much brighter than usual grey matter is on FLAIR, about -1 to 2.
    """

    lesions: np.ndarray
    vessels: np.ndarray
    bright_cortex: np.ndarray


def draw_confounders(anatomy: Anatomy, *, spacing: float, rng: np.random.Generator) -> Confounders:
    """Draws one person's look-alikes; the anatomy is already displaced by the tumour."""
    ventricles = deep_fluid(anatomy, spacing=spacing)
    return Confounders(
        lesions=_lesions(anatomy, ventricles=ventricles, spacing=spacing, rng=rng),
        vessels=_vessels(anatomy, ventricles=ventricles, spacing=spacing, rng=rng),
        bright_cortex=smooth_noise(anatomy.brain.shape, correlation=14.0, spacing=spacing, rng=rng),
    )


def deep_fluid(anatomy: Anatomy, *, spacing: float) -> np.ndarray:
    """Where the ventricles are, bool: fluid more than 18 mm below the brain's surface."""
    up = anatomy.position[2]
    near_mid_line = np.abs(anatomy.position[0]) < 45
    deep = distance_mm(anatomy.brain, spacing=spacing) > 18
    return ndimage.binary_opening((anatomy.csf > 0.5) & deep & near_mid_line & (up > -15))


def _lesions(anatomy: Anatomy, *, ventricles: np.ndarray, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """A thin cap along the ventricles and spots in the white matter, a few of them 10 mm across."""
    shape = anatomy.brain.shape
    away = distance_mm(~ventricles, spacing=spacing)
    patchy = soft_step(smooth_noise(shape, correlation=9.0, spacing=spacing, rng=rng), edge=0.2, width=1.5)
    caps = np.exp(-away / 3.5) * patchy * (away > 0)
    spots = np.zeros(shape, dtype=np.float32)
    for correlation, edge in ((2.0, 3.1), (4.0, 2.7)):
        noise = smooth_noise(shape, correlation=correlation, spacing=spacing, rng=rng)
        spots = np.maximum(spots, soft_step(noise, edge=edge + rng.uniform(-0.2, 0.3), width=0.8))
    return (np.maximum(caps, spots) * anatomy.white).astype(np.float32)


def _vessels(anatomy: Anatomy, *, ventricles: np.ndarray, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Tubes where two random fields are both near 0, the falx and surface veins, and choroid plexus."""
    shape = anatomy.brain.shape
    first, second, third = (smooth_noise(shape, correlation=7.0, spacing=spacing, rng=rng) for _ in range(3))
    tubes = np.exp(-(first**2 + second**2) / 0.03) * (0.4 + 0.6 * (anatomy.csf + anatomy.grey))
    depth = distance_mm(anatomy.brain, spacing=spacing)
    surface = np.exp(-depth / 1.5) * soft_step(third, edge=0.7, width=1.5)
    falx = np.exp(-((anatomy.position[0] / 1.5) ** 2)) * np.exp(-depth / 25) * anatomy.csf * (depth > 0)
    plexus = ventricles * soft_step(third, edge=0.9, width=0.6)
    sparse = tubes * soft_step(third, edge=-0.5, width=1.0)
    return (np.clip(sparse + 0.7 * surface + 0.7 * falx + 0.8 * plexus, 0, 1) * anatomy.brain).astype(np.float32)
