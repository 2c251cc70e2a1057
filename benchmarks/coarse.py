"""The coarse cascade against the U-Net on one real case: network time, in turn in one process, and arithmetic; untrained."""

import time
from pathlib import Path
from typing import Any

from benchmarks.common import report
from brats_cascade import MODALITIES
from brats_cascade.backend import start_backend

SOURCE = Path("../shared/data/brats2018")
REPEATS = 3


def main() -> None:
    """The fastest of some calls each, after one that does not count."""
    start_backend()
    from brats_cascade.data.cases import find_cases
    from brats_cascade.data.prepare import prepare_case
    from brats_cascade.inference.dense import brain_windows
    from brats_cascade.inference.segment import Member, label_probabilities
    from brats_cascade.models.build import build_model
    from brats_cascade.models.files import Contract
    from brats_cascade.models.fold import for_inference
    from brats_cascade.models.two_path import Style

    if not SOURCE.is_dir():
        print(f"{SOURCE}: not there; this benchmark needs real cases and is left out")
        return
    case, style, rows = find_cases(SOURCE)[1], Style(), []
    members: dict[str, Any] = {}
    for name, first in (("unet", None), ("coarse_cascade", style)):
        contract = Contract(name, (0, 1, 2, 4), MODALITIES, 0.01, style, first)
        members[name] = Member(build_model(name, classes=4, style=style), contract)
    prepared = prepare_case(case, **members["unet"].contract.preprocessing, with_truth=False)
    own = {"image": prepared.image, "brain": prepared.brain, "spacing": prepared.meta["spacing"], "slices": 4}
    windows = [window[-2:] for window in brain_windows(prepared.brain, slices=1, step=1, align=(2, 2))]
    cells = [-(-side // 4) for side in prepared.brain.shape]
    needed = {
        "unet": sum(_unet(rows, columns) for rows, columns in windows),
        "coarse_cascade": cells[0] * _cnn1(*cells[1:]) + sum(_cnn2(rows, columns) for rows, columns in windows),
    }
    for precision in ("float32", "bfloat16"):
        lean = {
            name: Member(for_inference(network, contract=contract, precision=precision), contract)
            for name, (network, contract) in members.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in lean}
        for _ in range(1 + REPEATS):
            for name, member in lean.items():
                started = time.perf_counter()
                label_probabilities([member], **own)
                seconds[name].append(time.perf_counter() - started)
        best = {name: min(values[1:]) for name, values in seconds.items()}
        rows += [
            {
                "network": name,
                "precision": precision,
                "seconds": round(best[name], 2),
                "GFLOP": round(needed[name] / 1e9),
                "over the U-Net's seconds": round(best[name] / best["unet"], 2),
            }
            for name in lean
        ]
    report("coarse", rows=rows)


def _layer(rows: float, columns: float, *, size: int, inputs: int, outputs: int) -> float:
    """Multiplications and additions of a convolution that gives rows x columns pixels."""
    return 2.0 * rows * columns * size**2 * inputs * outputs


def _cnn1(rows: int, columns: int, *, classes: int = 4) -> float:
    """CNN 1 at full width, K = 2, for rows x columns cells of a slab."""
    total = _layer(rows + 2, columns + 2, size=3, inputs=56, outputs=48)
    total += _layer(rows, columns, size=3, inputs=24, outputs=classes)
    for number in range(4):
        near, far = 18 - 2 * number, 8 - 2 * number
        total += _layer(rows + near, columns + near, size=3, inputs=24 if number else 25, outputs=48)
        total += _layer(rows / 2 + far, columns / 2 + far, size=3, inputs=32 if number else 25, outputs=64)
    return total


def _cnn2(rows: int, columns: int, *, classes: int = 4) -> float:
    """CNN 2 at full width, K = 2, for rows x columns pixels in cells of 2 x 2."""
    total = _layer(rows + 8, columns + 8, size=3, inputs=4, outputs=32)
    total += _layer(rows + 6, columns + 6, size=3, inputs=16, outputs=32)
    for number, far in enumerate((16, 14, 12, 8, 4)):
        total += _layer(rows / 2 + far, columns / 2 + far, size=3, inputs=40 if number else 17, outputs=80)
    total += _layer(rows / 2 + 4, columns / 2 + 4, size=1, inputs=40, outputs=128)
    total += _layer(rows + 4, columns + 4, size=3, inputs=32, outputs=32)
    return total + _layer(rows, columns, size=5, inputs=16, outputs=classes)


def _unet(rows: int, columns: int, *, classes: int = 4) -> float:
    """The U-Net at full width for rows x columns pixels: on 32 more to every side, rounded up to a multiple of 16."""
    tall, wide = (-(-(side + 64) // 16) * 16 for side in (rows, columns))
    maps, total = [4, 16, 32, 64, 128, 256], _layer(rows, columns, size=1, inputs=16, outputs=classes)
    for level in range(5):
        here, before = maps[level + 1], maps[level]
        pair = _layer(tall / 2**level, wide / 2**level, size=3, inputs=1, outputs=here)
        total += pair * (before + here)
        if level < 4:  # up: joined maps, then own ones; and the transposed convolution
            total += pair * 3 * here + _layer(tall / 2**level, wide / 2**level, size=1, inputs=2 * here, outputs=here)
    return total


if __name__ == "__main__":
    main()
