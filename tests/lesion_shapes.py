"""Small label volumes for lesion-wise scores, made of balls: every rule of the definition decides at least one of them.

Needs NumPy alone, because the table of expected scores is made in another environment (tests/evaluation/data).
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

SIDE = 34
Ball = tuple[tuple[int, int, int], float]


class Shape(NamedTuple):
    """Ground truth and prediction, canonical labels 0, 1, 2, 4 (slices, rows, columns), and mm along these axes."""

    truth: np.ndarray
    prediction: np.ndarray
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)


def volume(balls: Iterable[Ball]) -> np.ndarray:
    """Balls of edema with an enhancing shell, and necrosis inside from a radius of 4 on; later ones lie over earlier ones."""
    labels = np.zeros((SIDE,) * 3, np.uint8)
    for centre, radius in balls:
        distance = np.sqrt(((np.indices(labels.shape).T - np.array(centre)) ** 2).sum(axis=-1)).T
        for inner, label in ((0, 2), (2, 4), (4, 1)):
            labels[distance <= radius - inner] = label
    return labels


def shapes() -> Mapping[str, Shape]:
    """Name -> shape."""
    one, other = ((9, 9, 9), 6.0), ((24, 24, 24), 5.0)
    near = ((9, 9, 21), 5.0)  # one voxel of background between it and `one`: a dilation joins them
    far = ((9, 9, 26), 5.0)
    speck, grain = ((28, 5, 28), 2.0), ((28, 5, 28), 0.0)  # 33 voxels; 1 voxel
    pairs: dict[str, tuple[list[Ball], list[Ball]]] = {
        "equal": ([one, other], [one, other]),
        "shifted": ([one], [((10, 8, 11), 6.0)]),
        "one missed": ([one, other], [one]),
        "one false": ([one], [((9, 9, 10), 5.0), other]),
        "two joined by dilation": ([one, near], [one]),
        "two apart, both in one component": ([one, far], [one, ((9, 9, 17), 4.0), far]),
        "one in two components": ([((12, 12, 12), 8.0)], [((12, 12, 6), 3.0), ((12, 12, 18), 3.0)]),
        "a speck missed": ([one, speck], [one]),
        "a speck found": ([one, speck], [one, speck]),
        "a grain false": ([one], [one, grain]),
        "beside the lesion": ([((9, 9, 9), 4.0)], [((9, 9, 18), 3.0)]),
        "too far from the lesion": ([((9, 9, 9), 4.0)], [((9, 9, 21), 3.0)]),
        "nothing there, something found": ([], [one]),
        "something there, nothing found": ([one], []),
        "nothing there, nothing found": ([], []),
        "at the edge": ([((1, 2, 17), 6.0)], [((0, 1, 16), 6.0)]),
        "components that touch at corners": ([((8, 8, 8), 3.0), ((12, 12, 12), 3.0)], [((13, 13, 13), 3.0)]),
    }
    found = {name: Shape(volume(truth), volume(prediction)) for name, (truth, prediction) in pairs.items()}
    for seed, spacing in enumerate([(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (1.0, 0.75, 0.75)]):
        draw = np.random.default_rng(seed)
        truth, prediction = (_scattered(draw) for _ in range(2))
        found[f"scattered {seed}"] = Shape(truth, np.where(draw.random(truth.shape) < 0.5, truth, prediction), spacing)
        nudged = [((9 + seed, 9, 9), 6.5), ((23, 24 - seed, 24), 4.2)]
        found[f"nudged {seed}"] = Shape(volume([one, other]), volume(nudged), spacing)
    return found


def _scattered(draw: np.random.Generator) -> np.ndarray:
    centres, radii = (draw.random((5, 3)) * SIDE).astype(int), 2.0 + (draw.random(5) * 4).astype(int)
    return volume([(tuple(centre), float(radius)) for centre, radius in zip(centres.tolist(), radii, strict=True)])
