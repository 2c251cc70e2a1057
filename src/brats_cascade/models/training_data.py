"""A record of a network's training data, kept with the network, to tell whether a case fits it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from brats_cascade import MODALITIES

AXES = ("slice", "row", "column")
PERCENTILES = ("p01", "p50", "p99")
SETS = ("train", "validation")


@dataclass(frozen=True)
class SeenCase:
    """One case of the training or validation set.

    Attributes:
        case: Its name.
        patient: Its patient's name.
        release: Key of releases.RELEASES, or "list".
        set: "train" or "validation".
        voxels: Digest of its raw voxels, independent of file format, compression and names.
    """

    case: str
    patient: str
    release: str
    set: str
    voxels: str


@dataclass(frozen=True)
class TrainingData:
    """The cohort that was used for training and for choosing weights and post-processing.

    Attributes:
        source: Name of the cohort's folder or listing.
        spacing: "slice", "row", "column" -> minimum and maximum voxel spacing over the cases, mm.
        intensities: Modality -> "p01", "p50", "p99" of the brain's raw intensities -> minimum, median, maximum over the
            cases.
        cases: All cases of both sets.
    """

    source: str
    spacing: Mapping[str, Sequence[float]]
    intensities: Mapping[str, Mapping[str, Sequence[float]]]
    cases: tuple[SeenCase, ...]


def describe_training(sets: Mapping[str, Sequence[Mapping[str, Any]]], *, source: str) -> TrainingData:
    """Builds the record; for "train" and "validation" it takes the facts of their cases, as ingest stores them."""
    facts = [row for name in SETS for row in sets[name]]

    def spread(column: str) -> list[float]:
        values = [row[column] for row in facts]
        return [min(values), median(values), max(values)]

    return TrainingData(
        source=source,
        spacing={axis: spread(f"spacing_{axis}")[::2] for axis in AXES},
        intensities={part: {name: spread(f"{part}_{name}") for name in PERCENTILES} for part in MODALITIES},
        cases=tuple(
            SeenCase(row["case"], row["patient"], row["release"], name, row["voxels_hash"])
            for name in SETS
            for row in sorted(sets[name], key=lambda row: str(row["case"]))
        ),
    )
