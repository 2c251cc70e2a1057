"""Random changes to the intensities of a training window. Flips and warps are applied where windows are cut.

Tones imitate differences between scanners: a nonlinear change of each modality's intensity scale (gamma), and a smooth bias
field. Standardised intensities have mean 0 and standard deviation 1 over the brain; a bend preserves both if they are
normally distributed.
"""

from dataclasses import dataclass, field

import numpy as np

from brats_cascade.data.grid import SLABS
from brats_cascade.params.train import TrainParams
from brats_cascade.training.warp import Warp, draw_warp

BEND, BIAS = 0.1, 0.05  # standard deviations at strength 1: exponent; each wave of the relative bias
WAVES, LENGTHS = 2, (150.0, 300.0)  # waves of the bias field; wavelengths, mm
ZERO = -3.0  # the scan's intensity 0 is about this many standard deviations below the brain's mean


@dataclass(frozen=True)
class Tones:
    """The random gamma and bias field of one window.

    Attributes:
        bends: (modalities); none is 0.
        frequencies: (modalities, waves, 2), radians per pixel.
        phases: (modalities, waves).
        amplitudes: (modalities, waves), relative to the intensity.
        known: Cache of bias fields by window size; the slices of one window share theirs.
    """

    bends: np.ndarray
    frequencies: np.ndarray
    phases: np.ndarray
    amplitudes: np.ndarray
    known: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    def change(self, values: np.ndarray) -> np.ndarray:
        """The changed intensities of a window, float32 (rows, columns, modalities), without regard to the brain mask."""
        bends = self.bends
        spread = np.sign(bends) * np.sqrt(np.exp(bends**2) * np.expm1(bends**2))
        bent = (np.expm1(bends * values) - np.expm1(bends**2 / 2)) / spread
        sides = values.shape[:2]
        if sides not in self.known:
            rows, columns = (np.arange(side) - (side - 1) / 2 for side in sides)
            grid = np.stack(np.meshgrid(rows, columns, indexing="ij"))
            waves = np.sin(np.einsum("mwk,krc->rcmw", self.frequencies, grid) + self.phases)
            self.known[sides] = (waves * self.amplitudes).sum(axis=-1)
        return (bent + self.known[sides] * (bent - ZERO)).astype(np.float32)


def draw_tones(rng: np.random.Generator, *, modalities: int, strength: float, pixel: tuple[float, float]) -> Tones:
    """Draws the changes of one window; `strength` scales the standard deviations, `pixel` is a pixel's height and width, mm."""
    bends = strength * BEND * rng.normal(size=modalities)
    direction = rng.uniform(0, 2 * np.pi, (modalities, WAVES))
    length = rng.uniform(*LENGTHS, (modalities, WAVES, 1))
    frequencies = 2 * np.pi / length * np.stack([np.cos(direction), np.sin(direction)], axis=-1) * pixel
    phases = rng.uniform(0, 2 * np.pi, (modalities, WAVES))
    amplitudes = strength * BIAS * rng.normal(size=(modalities, WAVES))
    return Tones(np.where(np.abs(bends) < 1e-4, 1e-4, bends), frequencies, phases, amplitudes)


@dataclass(frozen=True)
class Variation:
    """The random changes of one window.

    Attributes:
        shift: Added to each modality, float32 (modalities); None leaves the intensities unchanged.
        scale: Log of each modality's factor, likewise.
        flipped: Whether left and right are exchanged.
        warp: Rotation, scaling and bending, or None.
        tones: Gamma and bias fields, or None.
        without_maps: Whether CNN 2 gets equal probabilities in place of CNN 1's.
    """

    shift: np.ndarray | None
    scale: np.ndarray | None
    flipped: bool
    warp: Warp | None = None
    tones: Tones | None = None
    without_maps: bool = False


def draw_variation(
    rng: np.random.Generator,
    *,
    settings: TrainParams,
    modalities: int,
    flip: bool,
    maps: bool,
    centre: tuple[float, float],
    pixel: tuple[float, float],
) -> Variation:
    """Draws the changes of one window; changes that are off draw nothing. `maps` says whether it has maps of a CNN 1.

    A `flip` has probability one half. A warp leaves the centre (row, column) in place. `pixel` is a pixel's height and width,
    mm.
    """
    shift = scale = warp = tones = None
    if settings.intensity:
        shift, scale = rng.normal(0, settings.intensity, size=(2, modalities)).astype(np.float32)
    flipped = flip and rng.random() < 0.5
    if settings.deformation:
        warp = draw_warp(rng, strength=settings.deformation, centre=centre, pixel=pixel)
    if settings.scanner:
        tones = draw_tones(rng, modalities=modalities, strength=settings.scanner, pixel=pixel)
    without_maps = maps and settings.cnn1_dropout > 0 and rng.random() < settings.cnn1_dropout
    return Variation(shift, scale, flipped, warp, tones, without_maps)


def vary_intensities(image: np.ndarray, *, variation: Variation) -> np.ndarray:
    """Changes a float32 image (rows, columns, modalities) inside the brain; pixels with zero in all modalities stay zero."""
    inside = np.any(image != 0, axis=-1, keepdims=True)
    if variation.tones is not None:
        image = np.where(inside, variation.tones.change(image), np.float32(0))
    if variation.shift is None or variation.scale is None:
        return image
    return np.where(inside, image * np.exp(variation.scale) + variation.shift, np.float32(0))


def vary_slabs(image: np.ndarray, *, variation: Variation) -> np.ndarray:
    """Applies intensity changes to a slab of `slabs_of` with joined channels.

    A shift is weighted by a cell's share of brain. Tones act on a cell's mean over the brain, which is close to the mean of
    the changed intensities. The image is float32 (rows, columns, 5 * (modalities + 1)); the last channel of each slab is the
    share of brain.
    """
    modalities = image.shape[-1] // (2 * SLABS + 1) - 1
    slabs = image.reshape(*image.shape[:2], -1, modalities + 1)
    means, share = slabs[..., :-1], slabs[..., -1:]
    if variation.tones is not None:
        inside = means / np.maximum(share, np.float32(1e-6))
        changed = [variation.tones.change(inside[:, :, place]) for place in range(inside.shape[2])]
        means = np.stack(changed, axis=2) * share
    if variation.shift is not None and variation.scale is not None:
        means = means * np.exp(variation.scale) + variation.shift * share
    return np.concatenate([means, share], axis=-1).reshape(image.shape)
