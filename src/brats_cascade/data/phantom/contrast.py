"""Simulates the scanner: four modalities from tissues, tumour, tumour look-alikes, bias field and noise."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from brats_cascade import MODALITIES
from brats_cascade.data.phantom.anatomy import Anatomy
from brats_cascade.data.phantom.fields import distance_mm, smooth_noise, soft_step
from brats_cascade.labels import EDEMA, ENHANCING, NECROSIS, NON_ENHANCING

# Relative mean signal of fluid, grey matter, white matter, necrosis, edema, non-enhancing and enhancing tumour.
SIGNAL: Mapping[str, tuple[float, ...]] = {
    "flair": (0.22, 0.79, 0.62, 0.86, 1.08, 1.10, 1.02),
    "t1": (0.25, 0.60, 0.84, 0.40, 0.62, 0.52, 0.56),
    "t1c": (0.27, 0.62, 0.85, 0.42, 0.64, 0.55, 1.12),
    "t2": (1.30, 0.80, 0.60, 1.25, 1.10, 1.16, 1.02),
}
# Relative standard deviation of these means between patients.
SPREAD = (0.05, 0.03, 0.03, 0.14, 0.04, 0.05, 0.07)
# How strongly each modality shows the detail of the average T1 (deep nuclei, tracts).
DETAIL: Mapping[str, float] = {"flair": -0.3, "t1": 0.9, "t1c": 0.9, "t2": -0.8}
# Signal change per unit of each look-alike: white matter lesions; vessels and dura.
LESION: Mapping[str, float] = {"flair": 0.36, "t1": -0.14, "t1c": -0.14, "t2": 0.30}
VESSEL: Mapping[str, float] = {"flair": -0.05, "t1": -0.02, "t1c": 0.60, "t2": -0.15}
# Width of each label's blurred border, mm; edema fades out slowly.
SOFTNESS: Mapping[int, float] = {NECROSIS: 0.8, EDEMA: 1.6, NON_ENHANCING: 1.0, ENHANCING: 1.0}


@dataclass(frozen=True)
class Confounders:
    """Structures that look like tumour, float32 (x, y, z), 0 to 1 unless noted.

    Attributes:
        lesions: White matter hyperintensities and caps along the ventricles: bright on FLAIR and T2.
        vessels: Vessels, dura and choroid plexus: bright on T1c.
        bright_cortex: How much brighter than usual grey matter is on FLAIR, about -1 to 2.
    """

    lesions: np.ndarray
    vessels: np.ndarray
    bright_cortex: np.ndarray


def draw_confounders(anatomy: Anatomy, *, spacing: float, rng: np.random.Generator) -> Confounders:
    """Draws one person's look-alikes; the tumour has already displaced the anatomy."""
    ventricles = deep_fluid(anatomy, spacing=spacing)
    return Confounders(
        lesions=_lesions(anatomy, ventricles=ventricles, spacing=spacing, rng=rng),
        vessels=_vessels(anatomy, ventricles=ventricles, spacing=spacing, rng=rng),
        bright_cortex=smooth_noise(anatomy.brain.shape, correlation=14.0, spacing=spacing, rng=rng),
    )


def deep_fluid(anatomy: Anatomy, *, spacing: float) -> np.ndarray:
    """The ventricles, bool: fluid more than 18 mm below the brain's surface."""
    up = anatomy.position[2]
    near_mid_line = np.abs(anatomy.position[0]) < 45
    deep = distance_mm(anatomy.brain, spacing=spacing) > 18
    return ndimage.binary_opening((anatomy.csf > 0.5) & deep & near_mid_line & (up > -15))


def _lesions(anatomy: Anatomy, *, ventricles: np.ndarray, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """A thin cap along the ventricles, and spots in the white matter, a few of them 10 mm wide."""
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
    """Tubes where two random fields are both close to 0, the falx, surface veins, and choroid plexus."""
    shape = anatomy.brain.shape
    first, second, third = (smooth_noise(shape, correlation=7.0, spacing=spacing, rng=rng) for _ in range(3))
    tubes = np.exp(-(first**2 + second**2) / 0.03) * (0.4 + 0.6 * (anatomy.csf + anatomy.grey))
    depth = distance_mm(anatomy.brain, spacing=spacing)
    surface = np.exp(-depth / 1.5) * soft_step(third, edge=0.7, width=1.5)
    falx = np.exp(-((anatomy.position[0] / 1.5) ** 2)) * np.exp(-depth / 25) * anatomy.csf * (depth > 0)
    plexus = ventricles * soft_step(third, edge=0.9, width=0.6)
    sparse = tubes * soft_step(third, edge=-0.5, width=1.0)
    return (np.clip(sparse + 0.7 * surface + 0.7 * falx + 0.8 * plexus, 0, 1) * anatomy.brain).astype(np.float32)


def render(anatomy: Anatomy, *, labels: np.ndarray, spacing: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Renders the four volumes of one patient whose tumour has already displaced the anatomy.

    Returns:
        Modality -> int16, at least 1 in the brain, 0 outside.
    """
    confounders = draw_confounders(anatomy, spacing=spacing, rng=rng)
    shares = _shares(anatomy, labels=labels, spacing=spacing, rng=rng)
    texture = _texture(labels, spacing=spacing, rng=rng)
    return {
        name: _modality(
            name, anatomy=anatomy, shares=shares, texture=texture, confounders=confounders, spacing=spacing, rng=rng
        )
        for name in MODALITIES
    }


def _shares(anatomy: Anatomy, *, labels: np.ndarray, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """The share of every tissue in every voxel, (7, x, y, z); edema leaves some of the underlying tissue visible."""
    soft = {
        label: ndimage.gaussian_filter((labels == label).astype(np.float32), width / spacing)
        for label, width in SOFTNESS.items()
    }
    fading = ndimage.gaussian_filter((labels > 0).astype(np.float32), 5 / spacing)
    strength = 0.9 + 0.12 * smooth_noise(labels.shape, correlation=8.0, spacing=spacing, rng=rng)
    soft[EDEMA] = soft[EDEMA] * np.clip(strength, 0.45, 1) * np.clip(0.7 + 0.4 * fading, 0, 1)
    tumour = np.stack([soft[label] for label in (NECROSIS, EDEMA, NON_ENHANCING, ENHANCING)])
    healthy = np.stack([anatomy.csf, anatomy.grey, anatomy.white]) * np.clip(1 - tumour.sum(axis=0), 0, 1)
    return np.concatenate([healthy, tumour])


def _texture(labels: np.ndarray, *, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """A texture common to all modalities (x, y, z): fine everywhere; coarser and stronger in the tumour core."""
    core = ndimage.gaussian_filter(np.isin(labels, (NECROSIS, NON_ENHANCING, ENHANCING)).astype(np.float32), 1)
    fine = smooth_noise(labels.shape, correlation=1.5, spacing=spacing, rng=rng)
    coarse = smooth_noise(labels.shape, correlation=4.0, spacing=spacing, rng=rng)
    return 0.02 * fine + core * (0.05 * fine + 0.07 * coarse)


def _modality(
    name: str,
    *,
    anatomy: Anatomy,
    shares: np.ndarray,
    texture: np.ndarray,
    confounders: Confounders,
    spacing: float,
    rng: np.random.Generator,
) -> np.ndarray:
    shape = anatomy.brain.shape
    means = np.array(SIGNAL[name]) * rng.normal(1, SPREAD)
    signal = np.einsum("t,txyz->xyz", means.astype(np.float32), shares)  # no BLAS: equal bytes for any threads
    healthy = shares[:3].sum(axis=0)
    signal += healthy * (DETAIL[name] * anatomy.detail + LESION[name] * confounders.lesions)
    signal += VESSEL[name] * confounders.vessels
    if name == "flair":  # limbic and insular cortex are brighter than the rest
        signal += 0.17 * shares[1] * confounders.bright_cortex
    own = smooth_noise(shape, correlation=2.5, spacing=spacing, rng=rng)
    signal *= 1 + texture + 0.035 * own
    signal = ndimage.gaussian_filter(signal, rng.uniform(0.3, 0.6))
    bias = smooth_noise(shape, correlation=45.0, spacing=spacing, rng=rng)
    signal *= np.exp(rng.uniform(0.03, 0.06) * np.clip(bias, -2.5, 2.5))
    noise = rng.uniform(0.02, 0.04) * rng.standard_normal((2, *shape), dtype=np.float32)
    measured = np.hypot(signal + noise[0], noise[1]) * rng.uniform(250, 1200)
    return np.where(anatomy.brain, np.clip(np.rint(measured), 1, 32767), 0).astype(np.int16)
