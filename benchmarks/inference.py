"""Prediction: the share of peak throughput, dense compared with patches, bfloat16 compared with float32, in one process."""

import numpy as np

from benchmarks.common import best, matrix_rate, report
from benchmarks.operations import input_cascade_operations, two_path_operations
from brats_cascade.backend import start_backend


def main() -> None:
    """Whole slices of 176x144 output pixels, about the size of a brain's box, at full width, in batches of four."""
    start_backend()
    from brats_cascade.models.build import build_model
    from brats_cascade.models.cascade import GEOMETRY
    from brats_cascade.models.two_path import Style

    rows, columns, slices, patches = 176, 144, 4, 64
    rng = np.random.default_rng(0)
    table = []
    seconds: dict[tuple[str, str], float] = {}
    for precision in ("float32", "bfloat16"):
        rate = matrix_rate(precision)
        for architecture, count in (("two_path", two_path_operations), ("input_cascade", input_cascade_operations)):
            network = build_model(architecture, style=Style(precision=precision))
            around = GEOMETRY[architecture].patch - 1
            window = rng.normal(size=(slices, rows + around, columns + around, 4)).astype(np.float32)
            cut = rng.normal(size=(patches, around + 1, around + 1, 4)).astype(np.float32)
            dense = best(lambda network=network, window=window: network.predict_on_batch(window))
            one_by_one = best(lambda network=network, cut=cut: network.predict_on_batch(cut))
            seconds[architecture, precision] = dense
            needed = slices * count(rows=rows, columns=columns)
            per_pixel, per_patch = dense / (slices * rows * columns), one_by_one / patches
            table.append(
                {
                    "network": architecture,
                    "precision": precision,
                    "R, GFLOP/s": round(rate / 1e9),
                    "ms a slice": round(1e3 * dense / slices, 1),
                    "share of R": round(needed / dense / rate, 2),
                    "dense over patches": round(per_patch / per_pixel),
                    "float32 over this": round(seconds[architecture, "float32"] / dense, 2),
                }
            )
    report("inference", rows=table)


if __name__ == "__main__":
    main()
