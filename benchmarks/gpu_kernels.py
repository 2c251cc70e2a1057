"""The kernels in which GPU time is spent, from JAX's profiler."""

import collections
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHOWN = 12


def kernel_rows(work: Callable[[], object]) -> list[dict[str, Any]]:
    """The kernels that take longest, their number of calls and share of all; none on a processor."""
    import jax

    spent: collections.Counter[str] = collections.Counter()
    calls: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            work()
        for path in Path(folder).rglob("*.xplane.pb"):
            for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
                for line in plane.lines if "/device:GPU" in plane.name else ():
                    for event in line.events if line.name.startswith("Stream") else ():
                        spent[event.name] += event.duration_ns
                        calls[event.name] += 1
    total = sum(spent.values())
    return [
        {"kernel": name[:80], "calls": calls[name], "ms": round(time / 1e6, 2), "share": round(time / total, 3)}
        for name, time in spent.most_common(SHOWN)
    ]
