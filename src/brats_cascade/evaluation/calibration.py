"""Calibration of the probabilities: expected calibration error, reliability and temperature scaling.

The confidence of a voxel is the probability of its most probable label. Voxels of the brain are counted in 15 bins of equal
width; the expected calibration error is the mean over voxels of the difference between a bin's accuracy and its mean
confidence (Guo et al., arXiv 1706.04599, who also introduced the temperature). Most of a brain is clearly not tumour, so
voxels predicted as tumour are also counted separately. Post-processing and operating point are not included.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from brats_cascade.data.store import StoredCase
from brats_cascade.inference.segment import scaled
from brats_cascade.labels import as_classes

BINS = 15
SAMPLED = 20_000  # voxels per validation case on which the temperature is fitted


class Reliability(NamedTuple):
    """Per bin, the number of voxels, the sum of their confidences, and the number of correct ones; float (BINS)."""

    voxels: np.ndarray
    confidence: np.ndarray
    right: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error, 0 to 1; NaN without voxels."""
        voxels = float(self.voxels.sum())
        return float(np.abs(self.right - self.confidence).sum()) / voxels if voxels else float("nan")


def reliability(probabilities: np.ndarray, *, truth: np.ndarray) -> Reliability:
    """Counts voxels, given probabilities (voxels, labels) and their canonical labels (voxels)."""
    confidence = probabilities.max(axis=-1).astype(np.float64)
    right = probabilities.argmax(axis=-1) == truth
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    weights = (None, confidence, right)
    return Reliability(*(np.bincount(bins, weights=each, minlength=BINS).astype(float) for each in weights))


def fit_temperature(probabilities: np.ndarray, *, truth: np.ndarray) -> float:
    """The temperature, 0.1 to 10, that maximises the likelihood of the true labels; arguments as in `reliability`."""
    from scipy.optimize import minimize_scalar

    def loss(exponent: float) -> float:
        own = np.take_along_axis(
            scaled(probabilities, temperature=np.exp(exponent)), truth[:, None].astype(int), axis=-1
        )
        return -float(np.log(np.maximum(own, 1e-12)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.1), np.log(10)), method="bounded").x))


class Calibration:
    """Collects voxels case by case: from validation cases for the temperature, if wanted, and from test cases to count.

    `classes` are the canonical labels that the network distinguishes; the ground truth is reduced to them.
    """

    def __init__(self, *, fitted: bool, classes: Sequence[int]) -> None:
        self.fitted, self.temperature, self._classes = fitted, 1.0, tuple(classes)
        self.counts: dict[str, Reliability] = {}  # "brain" and "called tumour", and if fitted the same with ", scaled"
        self._samples: list[tuple[np.ndarray, np.ndarray]] = []

    def sample(self, case: StoredCase, probabilities: np.ndarray) -> None:
        """Samples voxels of a validation case's brain, the same ones in every run."""
        if self.fitted:
            found, truth = self._of_brain(case, probabilities)
            chosen = np.random.default_rng(0).permutation(len(truth))[:SAMPLED]
            self._samples.append((found[chosen], truth[chosen]))

    def fit(self) -> None:
        """Fits the temperature on the sampled voxels."""
        if self._samples:
            probabilities, truth = (np.concatenate(parts) for parts in zip(*self._samples, strict=True))
            self.temperature = fit_temperature(probabilities, truth=truth)
            self._samples.clear()

    def count(self, case: StoredCase, probabilities: np.ndarray) -> None:
        """Counts a test case."""
        found, truth = self._of_brain(case, probabilities)
        answers = {"": found, **({", scaled": scaled(found, temperature=self.temperature)} if self.fitted else {})}
        for words, answer in answers.items():
            for name, chosen in (("brain", slice(None)), ("called tumour", answer.argmax(axis=-1) > 0)):
                counted, key = reliability(answer[chosen], truth=truth[chosen]), name + words
                self.counts[key] = Reliability(*np.add(self.counts.get(key, 0), counted))

    def summary(self) -> dict[str, Any]:
        """For metrics/E/summary.json: `ece`, `ece_tumour` (NaN: null); if fitted, `temperature` and both `_scaled` errors."""
        names = {"ece": "brain", "ece_tumour": "called tumour"}
        errors = {key: self.counts[name].error for key, name in names.items() if name in self.counts}
        if self.fitted:
            errors |= {f"{key}_scaled": self.counts[f"{name}, scaled"].error for key, name in names.items() if errors}
            errors["temperature"] = self.temperature
        return {key: value if value == value else None for key, value in errors.items()}

    def _of_brain(self, case: StoredCase, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        brain = np.asarray(case.brain)
        return probabilities[brain], as_classes(np.asarray(case.labels)[brain], classes=self._classes)
