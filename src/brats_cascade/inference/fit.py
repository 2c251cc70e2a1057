"""In what a case differs from those that a network was trained on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from brats_cascade import PHANTOM
from brats_cascade.models.training_data import AXES, TrainingData

if TYPE_CHECKING:
    from brats_cascade.models.files import Contract

CLOSE = 1.1  # spacings whose ratio is below this are taken for equal: releases round theirs


class Misfit(NamedTuple):
    """One way in which a case differs from what a network was trained on, also in words without the case's name.

    `kind` is a key of writeback.MISFITS, or "unknown" where the model does not say what it was trained on.
    """

    kind: str
    text: str


def find_misfits(data: TrainingData | None, *, facts: Mapping[str, Any]) -> list[Misfit]:
    """In what a case, with the facts that `prepare_case` measures, differs from what a network was trained on."""
    if data is None:
        return [Misfit("unknown", "the model does not say what it was trained on")]
    found = []
    if (facts["release"] == PHANTOM) not in {seen.release == PHANTOM for seen in data.cases}:
        mine, theirs = ("a phantom", "real scans") if facts["release"] == PHANTOM else ("a real scan", "phantoms")
        found.append(Misfit("phantom", f"it is {mine}, the model was trained on {theirs} ({data.source})"))
    spacing = [facts[f"spacing_{axis}"] for axis in AXES]
    limits = [data.spacing[axis] for axis in AXES]
    if not all(low / CLOSE < size < high * CLOSE for size, (low, high) in zip(spacing, limits, strict=True)):
        mine = " x ".join(f"{size:.3g}" for size in spacing)
        theirs = " x ".join(f"{low:.3g}" if low == high else f"{low:.3g}-{high:.3g}" for low, high in limits)
        found.append(Misfit("spacing", f"its voxels measure {mine} mm, those of the training {theirs} mm"))
    return [*found, *_acquaintance(data, facts=facts)]


def all_misfits(contracts: Iterable["Contract"], *, facts: Mapping[str, Any]) -> tuple[Misfit, ...]:
    """`find_misfits` of several networks, each misfit once."""
    found = [misfit for contract in contracts for misfit in find_misfits(contract.data, facts=facts)]
    return tuple(dict.fromkeys(found))


def describe_misfits(misfits: Sequence[Misfit]) -> str:
    """The misfits as one line, to be put behind the case's name."""
    return f"may not fit the model: {'; '.join(misfit.text for misfit in misfits)}"


def _acquaintance(data: TrainingData, *, facts: Mapping[str, Any]) -> list[Misfit]:
    """Whether the network knows this scan, or another one of this patient."""
    for seen in data.cases:
        if seen.voxels and seen.voxels == facts["voxels_hash"]:
            return [Misfit("patient", f"these very scans are {seen.case} of the model's {seen.set} set")]
    for seen in data.cases:
        if (seen.release, seen.patient) == (facts["release"], facts["patient"]):
            return [Misfit("patient", f"patient {seen.patient} is in the model's {seen.set} set")]
    return []
