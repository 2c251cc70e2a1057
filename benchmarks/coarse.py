"""The coarse cascade compared with the U-Net on one real case: network time in one process, and operations; untrained."""

import time
from pathlib import Path
from typing import Any

from benchmarks.common import report
from benchmarks.operations import case_operations
from brats_cascade import MODALITIES
from brats_cascade.backend import start_backend

SOURCE = Path("../shared/data/brats2018")
REPEATS = 3
CNN1S = {"unet": 0, "coarse_cascade": 3, "coarse_cascade, one CNN 1": 1}  # row of the table -> number of CNN 1s
STYLE = {"maxout": 1}  # as in real-coarse


def main() -> None:
    """Takes the fastest of several calls each, after a discarded first call."""
    start_backend()
    from brats_cascade.data.cases import find_cases
    from brats_cascade.data.prepare import prepare_case
    from brats_cascade.inference.segment import Member, label_probabilities
    from brats_cascade.models.build import build_model
    from brats_cascade.models.coarse import COARSE, mean_of
    from brats_cascade.models.files import Contract
    from brats_cascade.models.fold import for_inference
    from brats_cascade.models.two_path import Style
    from brats_cascade.params import Recipe

    if not SOURCE.is_dir():
        print(f"{SOURCE}: not there; this benchmark needs real cases and is left out")
        return
    case, rows = find_cases(SOURCE)[1], []
    members: dict[str, Any] = {}
    shape: dict[str, Any] = {"classes": 4, "style": Style(**STYLE)}
    for name, cnn1s in CNN1S.items():
        below = mean_of([build_model("coarse_cnn1", **shape) for _ in range(cnn1s)]) if cnn1s else None
        first, architecture = (shape["style"], COARSE) if cnn1s else (None, "unet")
        contract = Contract(architecture, (0, 1, 2, 4), MODALITIES, 0.01, shape["style"], first)
        members[name] = Member(build_model(architecture, cnn1=below, **shape), contract)
    prepared = prepare_case(case, recipe=Recipe(**members["unet"].contract.preprocessing), with_truth=False)
    own = {"image": prepared.image, "brain": prepared.brain, "spacing": prepared.meta["spacing"], "slices": 4}
    needed = {
        name: case_operations(contract.architecture, brain=prepared.brain, cnn1s=CNN1S[name], **STYLE)
        for name, (_, contract) in members.items()
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


if __name__ == "__main__":
    main()
