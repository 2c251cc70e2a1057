"""The truth of a case: its release's numbers become the paper's labels, and are counted."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brats_cascade.data.case import Case
from brats_cascade.errors import UserError
from brats_cascade.labels import LABELS, SCHEMES

MOST_NUMBERS = 10  # of a message
ROUNDED = 1e-3  # labels may be off by this much from a whole number


def whole_labels(labels: np.ndarray, *, path: Path) -> np.ndarray:
    """Rounds labels that floating point left slightly off; an array that holds integers comes back as it is.

    A truth saved from nibabel's get_fdata() under an int16 header comes back through a scale factor, 1e-5 or so from its
    whole numbers.

    Raises:
        UserError: A number that is further than ROUNDED from a whole one, not finite, or too large for a label.
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
    """Counts the release's numbers that occur in a truth of any orientation, and refuses what the release does not know.

    Raises:
        UserError: Unknown labels, which also go into the case's facts.
    """
    known = SCHEMES[case.scheme].to_canonical
    flat = truth.ravel(order="K")
    inside = flat[np.flatnonzero(flat)]  # a hundredth of the volume, so the rest of the work is on little
    numbers, counts = np.unique(inside, return_counts=True)
    found = {int(number): int(count) for number, count in zip(numbers, counts, strict=True)}
    if inside.size < flat.size:
        found[0] = flat.size - inside.size
    unknown = sorted(set(found) - set(known))
    if unknown:
        facts["unknown_labels"] = ",".join(str(label) for label in unknown)
        raise UserError(f"{path}: holds the labels {in_words(found)}, {_cure(case, found=found)}")
    return found


def _cure(case: Case, *, found: Iterable[int]) -> str:
    """What these labels do not fit, and how to name a scheme that they fit."""
    expected = f"expected {in_words(SCHEMES[case.scheme].to_canonical)} ({case.scheme})"
    fitting = schemes_with(found)
    if not fitting:
        return f"{expected}: no numbering that is known has these; correct the ground truth"
    if case.release == "list":
        return f"{expected}: change the labels column to {' or '.join(fitting)}, or correct the ground truth"
    listing = f"name the case in a listing with labels {' or '.join(fitting)} (docs/data.md)"
    return f"{expected}: correct the ground truth, or {listing}"


def in_words(labels: Iterable[int]) -> str:
    """Labels for a message; of an image that was taken for a truth the first ones."""
    numbers = [str(number) for number in sorted(labels)]
    more = f" and {len(numbers) - MOST_NUMBERS} more" if len(numbers) > MOST_NUMBERS else ""
    return ", ".join(numbers[:MOST_NUMBERS]) + more


def schemes_with(found: Iterable[int]) -> list[str]:
    """The schemes in which these numbers may occur."""
    return [name for name, scheme in SCHEMES.items() if set(found) <= set(scheme.to_canonical)]


def label_facts(
    found: Mapping[int, int], *, labels: np.ndarray, brain: np.ndarray, scheme: str, voxel_mm3: float
) -> dict[str, Any]:
    """What the per-case table holds about a truth: numbers counted in the whole volume, and the labels and brain of its box."""
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
