"""Draws patch sets: tables of patch centres in the volume store, without copies of voxels (paper section 3.2).

The eligible voxels of one label in one case form a cell. First the number of centres per cell is decided; then one pass
over the cases draws them.
"""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brats_cascade.data.census import Census, by_name, eligible_voxels, labels_of
from brats_cascade.data.store import StoredCase
from brats_cascade.labels import LABELS

COLUMNS = ("case", "slice", "row", "column", "label")


def equal_quotas(available: np.ndarray, *, total: int) -> np.ndarray:
    """Shares a total equally among groups; if a group has too few members, it gives all, and the others give more.

    Returns:
        int64 (groups,), at most `available` each; the sum is `total`, or all that is available if that is less. Groups
        that have enough differ by at most one, the first ones giving one more.

    Example:
        >>> equal_quotas(np.array([100, 5, 100]), total=30)
        array([13,  5, 12])
    """
    quotas = np.zeros(len(available), dtype=np.int64)
    left = min(int(total), int(np.sum(available)))
    while left:
        groups = np.flatnonzero(quotas < available)[:left]
        step = min(left // len(groups), int((available - quotas)[groups].min()))
        quotas[groups] += step
        left -= step * len(groups)
    return quotas


def proportional_shares(counts: np.ndarray, *, total: int, rng: np.random.Generator) -> np.ndarray:
    """Shares a total among groups in proportion to their counts, rounding at random without bias.

    Systematic sampling: a group's expected share is exactly total * count / sum, and its actual share is that number rounded
    down or up. Combined with drawing without replacement within each group, every member has the same probability of being
    drawn. Integer arithmetic keeps this exact as long as total times sum is below 9e18.

    Raises:
        ValueError: The total exceeds the sum of the counts.
    """
    everything = int(np.sum(counts))
    if total > everything:
        raise ValueError(f"expected a total of at most {everything}, received {total}")
    if total == 0:
        return np.zeros(len(counts), dtype=np.int64)
    edges = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]) * np.int64(total)
    return np.diff((edges + rng.integers(everything)) // everything)


def draw_patch_sets(
    folders: Sequence[Path], *, census: Census, phase1: int = 0, phase2: int = 0, seed: int
) -> dict[str, pd.DataFrame]:
    """Draws the two training sets in one pass over the cases, without replacement within a set.

    Args:
        folders: Stored cases with ground truth, in any order.
        census: From `count_voxels` for these cases; centres keep the distance from the edge that its border requires.
        phase1: Number of class-balanced centres. If a label has too few voxels, all of them are taken, and the remaining
            centres are drawn from the other labels.
        phase2: Number of centres with the labels' natural frequencies among the eligible voxels.
        seed: The same seed and cases give the same sets.

    Returns:
        "phase1" and "phase2": tables of case (str), slice, row, column (int16, in the stored frame) and label (uint8),
        sorted by position. A set is shorter if there are fewer eligible voxels.
    """
    allocations = {
        "phase1": _equal_allocation(census.eligible, total=phase1, seed=seed),
        "phase2": _natural_allocation(census.eligible, total=phase2, seed=seed),
    }
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in allocations}
    for number, case in enumerate(by_name(folders)):
        places = np.flatnonzero(eligible_voxels(case, border=census.border))
        labels = labels_of(case, classes=census.classes).ravel()[places]
        cells = [places[labels == label] for label in census.classes]
        for order, (name, allocation) in enumerate(allocations.items()):
            # one generator per set and case, so that other cases influence how many centres are drawn, but not which
            rng = np.random.default_rng([seed, 3 + order, zlib.crc32(case.name.encode())])
            drawn = [
                rng.choice(cell, size=count, replace=False, shuffle=False)
                for cell, count in zip(cells, allocation[number], strict=True)
            ]
            parts[name].append(_table(drawn, case=case, classes=census.classes))
    return {name: pd.concat(tables, ignore_index=True) for name, tables in parts.items()}


def summarise(
    sets: Mapping[str, pd.DataFrame], *, asked: Mapping[str, int], census: Census, seed: int
) -> dict[str, Any]:
    """The content of data/patches/summary.json: numbers and notes on both sets, JSON types only, with labels as text keys.

    `asked` is the requested number of centres per set, `census` covers the training cases, `seed` drew the sets.
    """
    counts = {
        name: {str(label): int((table["label"] == label).sum()) for label in census.classes}
        for name, table in sets.items()
    }
    return {
        "classes": list(census.classes),
        "seed": seed,
        "frequencies": _shares(census.eligible.sum(axis=0), census=census),
        "voxel_shares": _shares(census.volume.sum(axis=0), census=census),
        "eligible": dict(zip(map(str, census.classes), census.eligible.sum(axis=0).tolist(), strict=True)),
        "excluded": {
            "outside_brain": census.outside_brain,
            "in_blank_slices": census.in_blank_slices,
            "near_border": census.near_border,
        },
        "counts": counts,
        "notes": _notes(counts, asked=asked, census=census),
    }


def _equal_allocation(eligible: np.ndarray, *, total: int, seed: int) -> np.ndarray:
    """Centres per (case, class): the same number for each class, spread over the cases in proportion."""
    rng = np.random.default_rng([seed, 1])
    quotas = equal_quotas(eligible.sum(axis=0), total=total)
    shares = [proportional_shares(cell, total=quota, rng=rng) for cell, quota in zip(eligible.T, quotas, strict=True)]
    return np.stack(shares, axis=1)


def _natural_allocation(eligible: np.ndarray, *, total: int, seed: int) -> np.ndarray:
    """Centres per (case, class), such that every eligible voxel has the same probability."""
    rng = np.random.default_rng([seed, 2])
    total = min(total, int(eligible.sum()))
    return proportional_shares(eligible.ravel(), total=total, rng=rng).reshape(eligible.shape)


def _table(drawn: Sequence[np.ndarray], *, case: StoredCase, classes: Sequence[int]) -> pd.DataFrame:
    """The centres of one case, sorted by position."""
    places = np.concatenate(drawn)
    labels = np.repeat(np.asarray(classes, dtype=np.uint8), [len(part) for part in drawn])
    order = np.argsort(places)
    slices, rows, columns = np.unravel_index(places[order], case.brain.shape)
    names = pd.Series([case.name] * len(order), dtype="str")
    values = (names, slices.astype(np.int16), rows.astype(np.int16), columns.astype(np.int16), labels[order])
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))


def _shares(counts: np.ndarray, *, census: Census) -> dict[str, float]:
    return dict(zip(map(str, census.classes), (counts / max(counts.sum(), 1)).tolist(), strict=True))


def _notes(counts: Mapping[str, Mapping[str, int]], *, asked: Mapping[str, int], census: Census) -> list[str]:
    """One line per set, and one per label that had too few voxels."""
    notes = []
    for name, table in counts.items():
        total = sum(table.values())
        parts = ", ".join(f"{LABELS[int(label)]} {count / max(total, 1):.1%}" for label, count in table.items())
        notes.append(f"{name}: {total} of {asked[name]} centres: {parts}")
    phase1 = counts.get("phase1", {})
    for label, available in zip(census.classes, census.eligible.sum(axis=0).tolist(), strict=True):
        taken = phase1.get(str(label), 0)
        if phase1 and taken == available < max(phase1.values()):
            notes.append(
                f"phase1: {LABELS[label]} has only {available} eligible voxels; the other labels get more centres"
            )
    return notes
