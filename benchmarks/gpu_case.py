"""Device seconds for a prepared case, with the project's inference and full-width networks; untrained."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.on_device import predict_seconds, recorded
from benchmarks.operations import case_operations
from brats_cascade import MODALITIES

CLASSES = (0, 1, 2, 4)
LEAST = (100, 120, 100)  # voxels of a stored case that is taken for a real one


@dataclass(frozen=True)
class Case:
    """A prepared case, voxels of 1 mm."""

    name: str
    image: np.ndarray
    brain: np.ndarray


def stored_or_made(volumes: Path, *, shape: tuple[int, int, int]) -> Case:
    """The first case of the volume store with a real brain's size, or else an ellipsoid of noise of a box of that shape."""
    from brats_cascade.data.store import list_cases, open_case

    for name in list_cases(volumes) if volumes.is_dir() else ():
        stored = open_case(volumes / name)
        if all(side >= least for side, least in zip(stored.brain.shape, LEAST, strict=True)):
            return Case(name, np.asarray(stored.image), np.asarray(stored.brain))
    middle = np.array(shape).reshape(3, 1, 1, 1) / 2
    brain = (((np.indices(shape) + 0.5 - middle) / middle) ** 2).sum(axis=0) <= 1
    image = np.random.default_rng(0).normal(size=(*shape, len(MODALITIES))).astype(np.float32) * brain[..., None]
    return Case("made, an ellipsoid", image, brain)


def case_row(
    architecture: str, *, precision: str, case: Case, slices: int, repeats: int, rate: float
) -> dict[str, Any]:
    """One case through the project's own inference, by the clock, and its passes on the device alone."""
    from brats_cascade.inference.segment import Member, label_probabilities
    from brats_cascade.models.build import CNN1_OF, build_model
    from brats_cascade.models.files import Contract
    from brats_cascade.models.fold import for_inference
    from brats_cascade.models.two_path import Style

    style, own = Style(), {"image": case.image, "brain": case.brain, "spacing": (1.0, 1.0, 1.0), "slices": slices}
    contract = Contract(architecture, CLASSES, MODALITIES, 0.01, style, style if architecture in CNN1_OF else None)
    network = build_model(architecture, classes=len(CLASSES), style=style)
    member = Member(for_inference(network, contract=contract, precision=precision), contract)
    started = time.perf_counter()
    calls = recorded(lambda: label_probabilities([member], **own))
    first, seconds = time.perf_counter() - started, []
    for _ in range(repeats):
        started = time.perf_counter()
        label_probabilities([member], **own)
        seconds.append(time.perf_counter() - started)
    device, needed = predict_seconds(calls, repeats=repeats), case_operations(architecture, brain=case.brain)
    return {
        "network": architecture,
        "precision": precision,
        "case": f"{case.name}, {' x '.join(map(str, case.brain.shape))} voxels, {int(case.brain.sum()):,} of brain",
        "passes": len(calls),
        "device, s": round(device, 4),
        "with windows and transfers, s": round(min(seconds), 3),
        "first time, compiling, s": round(first, 1),
        "TFLOP": round(needed / 1e12, 3),
        "share of R": round(needed / device / rate, 4),
    }
