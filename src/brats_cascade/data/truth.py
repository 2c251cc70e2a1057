"""Converts the label values of a case's ground truth to the paper's labels, and counts them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.data.case import Case
from brats_cascade.errors import UserError
from brats_cascade.labels import LABELS, SCHEMES

MOST_NUMBERS = 10  # of a message
ROUNDED = 1e-3  # largest deviation of a label from a whole number


def whole_labels(labels: np.ndarray, *, path: Path) -> np.ndarray:
    """Rounds labels that are slightly off because of floating point; integer arrays are returned unchanged.

    A ground truth saved from nibabel's get_fdata() with an int16 header has a scale factor, so its labels deviate from whole
    numbers by about 1e-5.

    Raises:
        UserError: A value deviates by more than ROUNDED from a whole number, is not finite, or is too large for a label.
    """
    if labels.dtype.kind in "iub":
        return labels
    lost = np.count_nonzero(~np.isfinite(labels))
    if lost:
        raise UserError(f"{path}: {lost} of {labels.size} labels are NaN or infinite; export the segmentation again")
    whole = np.rint(labels)
    wrong = (np.abs(labels - whole) > ROUNDED) | (np.abs(whole) >= 2**31)
    if wrong.any():
        raise UserError(
            f"{path}: expected whole labels, {np.count_nonzero(wrong)} of {labels.size} voxels are not (first "
            f"{float(labels[wrong][0]):g}); was it interpolated? Resample labels with nearest-neighbour interpolation"
        )
    return whole.astype(np.int32)


def count_labels(truth: np.ndarray, *, path: Path, case: Case, facts: dict[str, Any]) -> dict[int, int]:
    """Counts the label values in a ground truth of any orientation, and refuses values that the scheme does not have.

    Raises:
        UserError: There are unknown labels; they are also recorded in the case's facts.
    """
    known = SCHEMES[case.scheme].to_canonical
    flat = truth.ravel(order="K")
    inside = flat[np.flatnonzero(flat)]  # a hundredth of the volume, so what follows is cheap
    numbers, counts = np.unique(inside, return_counts=True)
    found = {int(number): int(count) for number, count in zip(numbers, counts, strict=True)}
    if inside.size < flat.size:
        found[0] = flat.size - inside.size
    unknown = sorted(set(found) - set(known))
    if unknown:
        facts["unknown_labels"] = ",".join(str(label) for label in unknown)
        raise UserError(f"{path}: contains the labels {in_words(found)}, {_cure(case, found=found)}")
    return found


def _cure(case: Case, *, found: Iterable[int]) -> str:
    """Explains what these label values do not fit, and which scheme to name if they fit one."""
    expected = f"expected {in_words(SCHEMES[case.scheme].to_canonical)} ({case.scheme})"
    fitting = schemes_with(found)
    if not fitting:
        return f"{expected}: no known scheme has these; correct the ground truth"
    if case.release == "list":
        return f"{expected}: change the labels column to {' or '.join(fitting)}, or correct the ground truth"
    listing = f"name the case in a listing with labels {' or '.join(fitting)} (docs/data.md)"
    return f"{expected}: correct the ground truth, or {listing}"


def in_words(labels: Iterable[int]) -> str:
    """Label values for a message; if there are many, as in an image mistaken for a ground truth, the first ones."""
    numbers = [str(number) for number in sorted(labels)]
    more = f" and {len(numbers) - MOST_NUMBERS} more" if len(numbers) > MOST_NUMBERS else ""
    return ", ".join(numbers[:MOST_NUMBERS]) + more


def schemes_with(found: Iterable[int]) -> list[str]:
    """The schemes that contain all these values."""
    return [name for name, scheme in SCHEMES.items() if set(found) <= set(scheme.to_canonical)]


def label_facts(
    found: Mapping[int, int], *, labels: np.ndarray, brain: np.ndarray, scheme: str, voxel_mm3: float
) -> dict[str, Any]:
    """The columns about a ground truth: label counts of the whole volume, and the labels and brain of its box."""
    table = SCHEMES[scheme].to_canonical
    counts = dict.fromkeys(LABELS, 0)
    for own, count in found.items():
        counts[table[own]] += count
    tumour = sum(count for label, count in counts.items() if label)
    return {
        "labels": ",".join(str(label) for label, count in counts.items() if count),
        **{f"label_{label}": count for label, count in counts.items()},
        "tumour_cm3": float(tumour * voxel_mm3 / 1000),
        "tumour_outside_brain": tumour - int(np.count_nonzero(labels[brain])),
    }
