"""What a network was trained on, kept with it: enough to tell whether a case fits."""

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
        voxels: Digest of its raw voxels, whatever the format, compression and names of its files.
    """

    case: str
    patient: str
    release: str
    set: str
    voxels: str


@dataclass(frozen=True)
class TrainingData:
    """The cohort that a network was trained and chosen on.

    Attributes:
        source: Name of the cohort's folder or listing.
        spacing: "slice", "row", "column" -> lowest and highest distance between voxels over the cases, mm.
        intensities: Modality -> "p01", "p50", "p99" of the brain's raw intensities -> lowest, median, highest over the cases.
        cases: Every case of both sets.
    """

    source: str
    spacing: Mapping[str, Sequence[float]]
    intensities: Mapping[str, Mapping[str, Sequence[float]]]
    cases: tuple[SeenCase, ...]

    @property
    def releases(self) -> set[str]:
        """The releases of the cases."""
        return {case.release for case in self.cases}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainingData":
        """Reads what `dataclasses.asdict` made of it.

        Raises:
            TypeError: A key too many or too few.
        """
        return cls(**{**values, "cases": tuple(SeenCase(**case) for case in values["cases"])})


def describe_training(sets: Mapping[str, Sequence[Mapping[str, Any]]], *, source: str) -> TrainingData:
    """Collects the facts of the cases.

    Args:
        sets: "train" and "validation" -> the facts of their cases, as ingest stores them.
        source: Name of the cohort's folder or listing.

    Returns:
        The record; equal cases give an equal one.
    """
    facts = [row for name in SETS for row in sets[name]]
    spacing = {axis: [row[f"spacing_{axis}"] for row in facts] for axis in AXES}
    return TrainingData(
        source=source,
        spacing={axis: [min(values), max(values)] for axis, values in spacing.items()},
        intensities={
            modality: {name: _spread([row[f"{modality}_{name}"] for row in facts]) for name in PERCENTILES}
            for modality in MODALITIES
        },
        cases=tuple(
            SeenCase(row["case"], row["patient"], row["release"], name, row["voxels_hash"])
            for name in SETS
            for row in sorted(sets[name], key=lambda row: str(row["case"]))
        ),
    )


def _spread(values: Sequence[float]) -> list[float]:
    return [min(values), median(values), max(values)]
