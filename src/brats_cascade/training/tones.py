"""Random changes of intensities as between scanners: a bend of each modality's scale (gamma), and a smooth bias field.

Standardised intensities have mean 0 and standard deviation 1 over the brain. A bend keeps both for normally distributed ones.
"""

from dataclasses import dataclass, field

import numpy as np

BEND, BIAS = 0.1, 0.05  # standard deviations at strength 1: of the exponent; of each wave of the relative bias
WAVES, LENGTHS = 2, (150.0, 300.0)  # of the bias field; wavelengths, mm
ZERO = -3.0  # intensity 0 of the scan, about so many standard deviations below the brain's mean


@dataclass(frozen=True)
class Tones:
    """What is drawn for one window.

    Attributes:
        bends: (modalities); none is 0.
        frequencies: (modalities, waves, 2), radians per pixel.
        phases: (modalities, waves).
        amplitudes: (modalities, waves), shares of the intensity.
        known: The bias of windows of the sides that were asked for: slices of one window share theirs.
    """

    bends: np.ndarray
    frequencies: np.ndarray
    phases: np.ndarray
    amplitudes: np.ndarray
    known: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    def change(self, values: np.ndarray) -> np.ndarray:
        """The changed intensities of a window, float32 (rows, columns, modalities), as if all of it were brain."""
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
    """Draws the changes of one window.

    Args:
        rng: Source of the draw.
        modalities: Channels of the image.
        strength: Share of the standard deviations above, above 0.
        pixel: Its height and width, mm.
    """
    bends = strength * BEND * rng.normal(size=modalities)
    direction = rng.uniform(0, 2 * np.pi, (modalities, WAVES))
    length = rng.uniform(*LENGTHS, (modalities, WAVES, 1))
    frequencies = 2 * np.pi / length * np.stack([np.cos(direction), np.sin(direction)], axis=-1) * pixel
    phases = rng.uniform(0, 2 * np.pi, (modalities, WAVES))
    amplitudes = strength * BIAS * rng.normal(size=(modalities, WAVES))
    return Tones(np.where(np.abs(bends) < 1e-4, 1e-4, bends), frequencies, phases, amplitudes)
