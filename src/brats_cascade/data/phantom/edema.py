"""An edema that runs along white matter: shortest travel times from the tumour's core."""

import numpy as np
from scipy import ndimage, sparse

from brats_cascade.data.phantom.anatomy import Anatomy
from brats_cascade.data.phantom.fields import lowest, one_piece, smooth_noise

# How fast edema spreads in each tissue, relative to white matter: fluid stops it, grey matter slows it down.
SPEED = {"white": 1.0, "grey": 0.12, "csf": 0.03}


def grow_edema(
    anatomy: Anatomy, *, core: np.ndarray, cm3: float, spacing: float, rng: np.random.Generator
) -> np.ndarray:
    """Lets edema of a volume spread from the core: the voxels that it reaches first, at each tissue's own speed.

    Arrival times are shortest paths over the 26 neighbours of each voxel within 45 mm of the core's box. The anatomy is
    already displaced by the core, and the result, bool, is disjoint from it.
    """
    speed = SPEED["white"] * anatomy.white + SPEED["grey"] * anatomy.grey + SPEED["csf"] * anatomy.csf
    speed = speed * np.exp(0.35 * smooth_noise(core.shape, correlation=7.0, spacing=spacing, rng=rng))
    margin = int(np.ceil(45 / spacing))
    box = tuple(
        slice(max(0, where.start - margin), where.stop + margin) for where in ndimage.find_objects(core.astype(int))[0]
    )
    times = np.full(core.shape, np.inf, dtype=np.float32)
    times[box] = arrival_times(speed[box], start=core[box], inside=anatomy.brain[box], spacing=spacing)
    times = np.where(core | (anatomy.csf > 0.6), np.inf, times)
    reached = lowest(times, cm3=cm3, spacing=spacing)
    smooth = ndimage.gaussian_filter((reached | core).astype(np.float32), 0.8) > 0.5
    return one_piece(smooth | core) & ~core & anatomy.brain & (anatomy.csf <= 0.6)


def arrival_times(speed: np.ndarray, *, start: np.ndarray, inside: np.ndarray, spacing: float) -> np.ndarray:
    """Shortest travel times over the 26 neighbours of each voxel; infinite where no path leads.

    Args:
        speed: mm per unit of time.
        start: bool, where time is 0.
        inside: bool, where paths may run.
        spacing: mm.
    """
    numbers = np.arange(speed.size).reshape(speed.shape)
    cost = spacing / np.maximum(speed, 0.01)
    rows, columns, weights = [], [], []
    half = [offset for offset in np.ndindex(3, 3, 3) if offset > (1, 1, 1)]
    for offset in half:
        step = np.array(offset) - 1
        here = tuple(slice(max(0, -s), size - max(0, s)) for s, size in zip(step, speed.shape, strict=True))
        there = tuple(slice(max(0, s), size - max(0, -s)) for s, size in zip(step, speed.shape, strict=True))
        open_way = inside[here] & inside[there]
        rows.append(numbers[here][open_way])
        columns.append(numbers[there][open_way])
        weights.append(np.linalg.norm(step) * 0.5 * (cost[here] + cost[there])[open_way])
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    graph = sparse.csr_array(entries, shape=(speed.size, speed.size))
    sources = numbers[start & ~ndimage.binary_erosion(start)]
    times = sparse.csgraph.dijkstra(graph, directed=False, indices=sources, min_only=True)
    return times.reshape(speed.shape)
