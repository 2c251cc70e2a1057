"""Simulates a glioma: its core, the displaced tissue, the parts of the core, and edema that spreads along white matter."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse

from brats_cascade.data.phantom.anatomy import Anatomy
from brats_cascade.data.phantom.fields import distance_mm, lowest, one_piece, smooth_noise
from brats_cascade.labels import ENHANCING, NECROSIS, NON_ENHANCING

# How fast edema spreads in each tissue, relative to white matter: fluid stops it, grey matter slows it down.
SPEED = {"white": 1.0, "grey": 0.12, "csf": 0.03}


@dataclass(frozen=True)
class TumourPlan:
    """The random properties of a tumour, drawn before it grows.

    Attributes:
        core_cm3: Volume of necrosis, non-enhancing and enhancing tumour together.
        edema_cm3: Volume of edema.
        push_mm: How far the core's border pushes tissue outwards.
        necrosis: Share of the core.
        enhancing: Share of the core; the rest is non-enhancing.
    """

    core_cm3: float
    edema_cm3: float
    push_mm: float
    necrosis: float
    enhancing: float


def draw_plan(*, high_grade: bool, rng: np.random.Generator) -> TumourPlan:
    """Draws sizes and shares; over a cohort they average to about the shares in BRATS 2013 (paper section 4).

    High-grade tumours have necrosis, an enhancing rim and much edema. Low-grade tumours are mostly non-enhancing, with little
    edema and, in two thirds of the cases, little enhancement. The total volume is 40 to 200 cm3.
    """
    if high_grade:
        return TumourPlan(
            core_cm3=rng.uniform(30, 80),
            edema_cm3=rng.uniform(45, 120),
            push_mm=rng.uniform(6, 11),
            necrosis=rng.uniform(0.2, 0.36),
            enhancing=rng.uniform(0.42, 0.56),
        )
    return TumourPlan(
        core_cm3=rng.uniform(20, 50),
        edema_cm3=rng.uniform(20, 60),
        push_mm=rng.uniform(3, 6),
        necrosis=0.0,
        enhancing=float(rng.choice([0.0, 0.04, 0.08])),
    )


def draw_core(healthy: Anatomy, *, plan: TumourPlan, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Grows the core, bool, from a white matter voxel of one hemisphere, away from the mid-line and below the cortex."""
    radius = (plan.core_cm3 * 1000 * 3 / (4 * np.pi)) ** (1 / 3)
    across, _, up = healthy.position
    depth = distance_mm(healthy.brain, spacing=spacing)
    white = ndimage.gaussian_filter(healthy.white, 3 / spacing)
    allowed = (white > 0.5) & (np.abs(across) > 0.8 * radius + 4) & (depth > 0.6 * radius) & (up > 2)
    candidates = np.argwhere(allowed)
    centre = candidates[rng.integers(len(candidates))]
    return _grow_core(healthy, centre=centre, cm3=plan.core_cm3, spacing=spacing, rng=rng)


def _grow_core(
    anatomy: Anatomy, *, centre: np.ndarray, cm3: float, spacing: float, rng: np.random.Generator
) -> np.ndarray:
    """Grows the core: an ellipsoid with a bumpy outline that does not cross the mid-line or enter fluid.

    It is a single connected component without holes.
    """
    shape = anatomy.brain.shape
    offsets = (np.indices(shape, dtype=np.float32) - centre[:, None, None, None].astype(np.float32)) * np.float32(
        spacing
    )
    stretch = np.linalg.qr(rng.standard_normal((3, 3)))[0] * rng.uniform(0.8, 1.3, 3)
    radius = np.sqrt((np.einsum("ij,jxyz->ixyz", stretch.astype(np.float32), offsets) ** 2).sum(axis=0))
    mean_radius = (cm3 * 1000 * 3 / (4 * np.pi)) ** (1 / 3)
    radius += 0.22 * mean_radius * smooth_noise(shape, correlation=0.4 * mean_radius, spacing=spacing, rng=rng)
    radius += 0.05 * mean_radius * smooth_noise(shape, correlation=3.0, spacing=spacing, rng=rng)
    side = np.sign(anatomy.position[0][tuple(centre)])
    radius[~anatomy.brain | (side * anatomy.position[0] < 2)] = np.inf
    radius += 0.5 * mean_radius * anatomy.csf
    return one_piece(lowest(radius, cm3=cm3, spacing=spacing))


def mass_effect(core: np.ndarray, *, brain: np.ndarray, push_mm: float, spacing: float) -> np.ndarray:
    """The displacement of the tissue around the core: outwards, decreasing with distance, zero at the rigid skull.

    Returns:
        float32 (3, x, y, z): displacement in mm; the tissue at x - displacement moves to x.
    """
    away = distance_mm(~core, spacing=spacing) - distance_mm(core, spacing=spacing)
    outwards = np.stack(np.gradient(ndimage.gaussian_filter(away, 5 / spacing))).astype(np.float32)
    outwards /= np.maximum(np.sqrt((outwards**2).sum(axis=0)), 0.1 * spacing)
    reach = 22.0
    fade = np.exp(-np.maximum(away, 0) / reach) * np.clip(1 + away / (2 * push_mm), 0, 1)
    near_skull = np.clip(distance_mm(brain, spacing=spacing) / 12, 0, 1)
    shift = outwards * (push_mm * fade * near_skull).astype(np.float32)
    return np.stack([ndimage.gaussian_filter(axis, 2 / spacing) for axis in shift])


def divide_core(core: np.ndarray, *, plan: TumourPlan, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Divides the core: necrosis inside, an enhancing rim of varying thickness around it, the rest non-enhancing."""
    volume = float(core.sum()) * spacing**3 / 1000
    depth = distance_mm(core, spacing=spacing)
    depth += 2.5 * smooth_noise(core.shape, correlation=5.0, spacing=spacing, rng=rng)
    necrosis = lowest(np.where(core, -depth, np.inf), cm3=plan.necrosis * volume, spacing=spacing)
    necrosis = core & (ndimage.gaussian_filter(necrosis.astype(np.float32), 0.7) > 0.5)
    ahead = distance_mm(~necrosis, spacing=spacing) if necrosis.any() else -depth
    ahead = ahead + 2.5 * smooth_noise(core.shape, correlation=9.0, spacing=spacing, rng=rng)
    rim = lowest(np.where(core & ~necrosis, ahead, np.inf), cm3=plan.enhancing * volume, spacing=spacing)
    labels = np.where(core, NON_ENHANCING, 0).astype(np.uint8)
    labels[necrosis] = NECROSIS
    labels[rim] = ENHANCING
    return labels


def grow_edema(
    anatomy: Anatomy, *, core: np.ndarray, cm3: float, spacing: float, rng: np.random.Generator
) -> np.ndarray:
    """Grows edema of a given volume from the core: the voxels that it reaches first at each tissue's speed.

    Arrival times are shortest paths over the 26 neighbours of each voxel within 45 mm of the core's box. The anatomy is
    already displaced by the core. The result, bool, does not overlap the core.
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
    """Shortest travel times over the 26 neighbours of each voxel for a speed in mm per unit of time; inf if unreachable.

    Time is 0 where `start` is true; paths stay where `inside` is true.
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
