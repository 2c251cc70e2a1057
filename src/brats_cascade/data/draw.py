"""How many of each group a draw takes: exact integers, no voxels."""

import numpy as np


def equal_quotas(available: np.ndarray, *, total: int) -> np.ndarray:
    """Shares a total equally among groups; a group that is short gives all it has and the others fill up.

    Returns:
        int64 (groups,), at most `available` each, summing to the lesser of `total` and all there are. Groups that are
        not short differ by at most one, the first ones having the one more.

    Example:
        >>> equal_quotas(np.array([100, 5, 100]), total=30)
        array([13,  5, 12])
    """
    left = min(int(total), int(np.sum(available)))
    low, high = 0, left  # the highest level that all groups can be filled to, or to their brim
    while low < high:
        level = (low + high + 1) // 2
        if np.minimum(available, level).sum() <= left:
            low = level
        else:
            high = level - 1
    quotas = np.minimum(available, low).astype(np.int64)
    more = np.flatnonzero(available > low)[: left - int(quotas.sum())]
    quotas[more] += 1
    return quotas


def proportional_shares(counts: np.ndarray, *, total: int, rng: np.random.Generator) -> np.ndarray:
    """Shares a total among groups in proportion to their counts, rounding at random without bias.

    Systematic sampling: the expected share of a group is exactly total * count / sum, and what it gets is that number
    rounded down or up. Together with drawing without replacement inside the groups, every member has the same
    probability of being drawn. In integers, so exact for any cohort (up to 9e18 for total times the sum).

    Raises:
        ValueError: More wanted than there are.
    """
    everything = int(np.sum(counts))
    if total > everything:
        raise ValueError(f"expected a total of at most {everything}, received {total}")
    if total == 0:
        return np.zeros(len(counts), dtype=np.int64)
    edges = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]) * np.int64(total)
    return np.diff((edges + rng.integers(everything)) // everything)
