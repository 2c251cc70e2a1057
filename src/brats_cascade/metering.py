"""Measures wall time, CPU time, GPU time and, if the machine provides it, energy.

Energy is that of all CPUs of the machine (Linux's powercap, which often only root may read) and of NVIDIA GPUs (with
`nvidia-ml-py`), including other work at the same time.
"""

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

from brats_cascade.provenance import accelerators

POWERCAP = Path("/sys/class/powercap")
SECONDS, CPU, GPU, ENERGY = "seconds", "cpu_seconds", "gpu_seconds", "energy_j"
MOST_WATTS = 1000  # power of a CPU; a counter that may have wrapped around more than once is not used


class Meter:
    """Measures since its creation; `powercap` is the folder of the CPUs' energy counters."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._powercap, self._gpu = powercap, bool(accelerators())
        self._packages, self._cards = _packages(powercap), _cards()
        self._started, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """`seconds` and `cpu_seconds` of this process, `gpu_seconds` if it computes on a GPU, `energy_j` if available."""
        spent = {SECONDS: time.perf_counter() - self._started, CPU: time.process_time() - self._cpu}
        if self._gpu:
            spent[GPU] = spent[SECONDS]
        used = [
            _difference(self._packages[name], after, seconds=spent[SECONDS])
            for name, after in _packages(self._powercap).items()
            if name in self._packages
        ]
        used += [after - before for before, after in zip(self._cards, _cards(), strict=False)]
        if used and None not in used:
            spent[ENERGY] = sum(joules for joules in used if joules is not None)
        return {name: round(value, 2) for name, value in spent.items()}


def by_case(spent: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Turns case -> measurements into measurement -> case -> number."""
    names = dict.fromkeys(name for one in spent.values() for name in one)
    return {name: {case: one[name] for case, one in spent.items() if name in one} for name in names}


def _packages(powercap: Path) -> dict[str, tuple[float, float]]:
    """CPU -> joules so far and the value at which the counter wraps around, for readable counters."""
    found = {}
    for folder in sorted(powercap.glob("intel-rapl:*")):  # also AMD's
        with contextlib.suppress(OSError, ValueError):
            if folder.name.count(":") == 1:  # subzones are part of their CPU
                used, most = ((folder / name).read_text() for name in ("energy_uj", "max_energy_range_uj"))
                found[folder.name] = (int(used) / 1e6, int(most) / 1e6)
    return found


def _difference(before: tuple[float, float], after: tuple[float, float], *, seconds: float) -> float | None:
    if seconds * MOST_WATTS > after[1]:
        return None
    joules = after[0] - before[0]
    return joules if joules >= 0 else joules + after[1]


def _cards() -> list[float]:
    """Joules so far of every GPU that this process uses; none without nvidia-ml-py."""
    if not accelerators():
        return []
    try:
        import pynvml

        pynvml.nvmlInit()
        cards = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        return [pynvml.nvmlDeviceGetTotalEnergyConsumption(card) / 1000 for card in cards]
    except Exception:
        return []
