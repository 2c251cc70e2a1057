"""Compares a case with the training data of a network."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from brats_cascade import PHANTOM
from brats_cascade.data.releases import without_year
from brats_cascade.models.training_data import AXES, TrainingData

if TYPE_CHECKING:
    from brats_cascade.models.files import Contract

CLOSE = 1.1  # spacings with a smaller ratio count as equal, because releases round them
SETS = {"train": "training", "validation": "validation"}


class Misfit(NamedTuple):
    """A difference between a case and a network's training data, with a text that does not name the case.

    `kind` is a key of writeback.MISFITS, or "unknown" if the model does not record its training data.
    """

    kind: str
    text: str


def find_misfits(data: TrainingData | None, *, facts: Mapping[str, Any]) -> list[Misfit]:
    """The differences between a case, given the facts from `prepare_case`, and a network's training data."""
    if data is None:
        return [Misfit("unknown", "the model does not record its training data")]
    found = []
    if (facts["release"] == PHANTOM) not in {seen.release == PHANTOM for seen in data.cases}:
        mine, theirs = ("a phantom", "real scans") if facts["release"] == PHANTOM else ("a real scan", "phantoms")
        found.append(Misfit("phantom", f"it is {mine}, but the model was trained on {theirs} ({data.source})"))
    spacing = [facts[f"spacing_{axis}"] for axis in AXES]
    limits = [data.spacing[axis] for axis in AXES]
    if not all(low / CLOSE < size < high * CLOSE for size, (low, high) in zip(spacing, limits, strict=True)):
        mine = " x ".join(f"{size:.3g}" for size in spacing)
        theirs = " x ".join(f"{low:.3g}" if low == high else f"{low:.3g}-{high:.3g}" for low, high in limits)
        found.append(Misfit("spacing", f"its voxels measure {mine} mm, but those of the training data {theirs} mm"))
    return [*found, *_acquaintance(data, facts=facts)]


def all_misfits(contracts: Iterable["Contract"], *, facts: Mapping[str, Any]) -> tuple[Misfit, ...]:
    """`find_misfits` for several networks, without duplicates."""
    found = [misfit for contract in contracts for misfit in find_misfits(contract.data, facts=facts)]
    return tuple(dict.fromkeys(found))


def describe_misfits(misfits: Sequence[Misfit]) -> str:
    """The misfits as one line, to be appended to the case's name."""
    return f"may not fit the model: {'; '.join(misfit.text for misfit in misfits)}"


def _acquaintance(data: TrainingData, *, facts: Mapping[str, Any]) -> list[Misfit]:
    """Whether the network was trained on this scan, or on another scan of this patient."""
    for seen in data.cases:
        if seen.voxels and seen.voxels == facts["voxels_hash"]:
            return [Misfit("patient", f"these scans are {seen.case} of the model's {SETS[seen.set]} set")]
    for seen in data.cases:
        if seen.release == facts["release"] and without_year(seen.patient) == without_year(facts["patient"]):
            return [Misfit("patient", f"patient {seen.patient} is in the model's {SETS[seen.set]} set")]
    return []
