"""Whether this device computes in bfloat16 natively. A CPU that emulates it takes many times as long for a training."""

import logging
from pathlib import Path

from brats_cascade.provenance import flags_of, gpus

log = logging.getLogger(__name__)
CPU_INFO = Path("/proc/cpuinfo")
AUTO = "auto"
FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}  # in /proc/cpuinfo; the last one is for Arm
CAPABLE = 8.0  # the first compute capability of NVIDIA's GPUs with native bfloat16


def native_bfloat16() -> bool:
    """Whether the GPUs that compute, or else the CPU, have it; False if the system does not tell."""
    if cards := gpus():
        return all(float(capability) >= CAPABLE for _, capability in cards if capability.replace(".", "").isdigit())
    return CPU_INFO.is_file() and bool(FLAGS & flags_of(CPU_INFO.read_text()))


def settled(precision: str) -> str:
    """The precision to compute in: for "auto", bfloat16 if this device has it natively, otherwise float32."""
    if precision != AUTO:
        return precision
    return "bfloat16" if native_bfloat16() else "float32"


def warn_if_emulated(precision: str) -> None:
    """Logs a warning if the precision is bfloat16 and this device only emulates it."""
    if precision == "bfloat16" and not native_bfloat16():
        log.warning("this device emulates bfloat16, which can make a training many times slower; use float32 or auto")
